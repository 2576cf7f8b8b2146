package pool_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

func TestSharedTryAcquireDoesNotPassThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var room atomic.Int64
		room.Store(2)
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			streams(&room)(c)
			c.Limits.MaxOpen = 1
		})
		a := acquire(t, p)
		b, ok := p.TryAcquire()
		if !ok {
			t.Fatal("there is room for a second lease and TryAcquire found none")
		}
		if _, ok := p.TryAcquire(); ok {
			t.Error("a third lease was given where there is room for two")
		}
		got := make(chan pool.Lease[*fake])
		go func() { got <- acquire(t, p) }()
		synctest.Wait()
		room.Store(1) // no room even after a return
		a.Release()
		synctest.Wait()
		if _, ok := p.TryAcquire(); ok || p.Stats().Waiting != 1 {
			t.Error("TryAcquire passed somebody who waits")
		}
		b.Release()
		(<-got).Release()
	})
}

func TestSharedConnectionComesBackWhenItsWaiterWentAwayMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var meanwhile atomic.Pointer[func()]
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits.MaxOpen = 1
			c.Shares = func(*fake) int {
				if f := meanwhile.Swap(nil); f != nil {
					(*f)()
				}
				return 2
			}
		})
		acquire(t, p).Release()
		ctx, cancel := context.WithCancel(context.Background())
		f := func() {
			cancel()
			time.Sleep(time.Millisecond) // virtual: the waiter is gone when it is over
		}
		meanwhile.Store(&f)
		if l, err := p.Acquire(ctx); err == nil {
			l.Release()
			t.Error("somebody whose context had ended was served")
		}
		pass(time.Second)
		if st := p.Stats(); st.Idle != 1 || st.Leases != 0 {
			t.Errorf("the connection that nobody took in the end: %+v", st)
		}
		acquire(t, p).Release()
		if n := s.dials.Load(); n != 1 {
			t.Errorf("it was not found again: %d dials", n)
		}
	})
}

func TestSharedWaiterIsServedAsSoonAsTheDialOrThePingIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.dialTime.Store(int64(103 * time.Millisecond))
		s.pingTime.Store(int64(57 * time.Millisecond))
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Shares = func(*fake) int { return 5 }
			c.Limits.MaxOpen = 1
		})
		for _, want := range []time.Duration{103 * time.Millisecond, 57 * time.Millisecond} {
			began := time.Now()
			acquire(t, p).Release()
			if d := time.Since(began); d != want {
				t.Errorf("a caller waited for %v where what he needed took %v", d, want)
			}
			pass(2 * time.Second)
		}
	})
}

func TestSharedPoolShrinksByAsManyAsAreTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Shares = func(*fake) int { return 1 }
			c.Limits.MaxOpen = 3
		})
		a, b, c := acquire(t, p), acquire(t, p), acquire(t, p)
		if err := p.SetLimits(pool.Limits{MaxOpen: 2}); err != nil {
			t.Fatal(err)
		}
		a.Release()
		b.Release()
		c.Release()
		synctest.Wait()
		if st := p.Stats(); st.Closed[conn.Shrunk] != 1 || st.Idle != 2 {
			t.Errorf("from 3 to 2: %+v", st)
		}
	})
}
