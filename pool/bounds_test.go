package pool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// This file holds what a check, a dial or a change of limits may take from the others.

func TestNewNameAtAnAddressHasTheOthersAskedByTheTenth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asking, most, asked atomic.Int64
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 51, HeartbeatEvery: -1}
			c.Ping = func(ctx context.Context, _ *fake) error {
				raise(&most, asking.Add(1))
				defer asking.Add(-1)
				asked.Add(1)
				return sleep(ctx, int64(time.Millisecond))
			}
			c.Identity = func(_ context.Context, f *fake) (string, error) { return fmt.Sprintf("server %d", f.id/51), nil }
		})
		leases := make([]pool.Lease[*fake], 50)
		for i := range leases {
			leases[i] = acquire(t, p)
		}
		s.dialTime.Store(int64(10 * time.Millisecond))
		last := make(chan pool.Lease[*fake])
		go func() { last <- acquire(t, p) }()
		synctest.Wait() // the 51st is being dialled, and leads to another server
		for _, l := range leases {
			l.Release()
		}
		(<-last).Release()
		pass(10 * time.Second)
		if m := most.Load(); m > 5 {
			t.Errorf("of 51 connections %d were asked at the same time", m)
		}
		if n := asked.Load(); n < 50 || n > 51 {
			t.Errorf("50 others were asked %d times who they are", n)
		}
	})
}

func TestNewNameAtAnAddressNeverPingsASharedConnectionThatIsLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pings, three atomic.Int64
		three.Store(3)
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			streams(&three)(c)
			c.Limits.HeartbeatEvery = -1
			c.Ping = func(_ context.Context, f *fake) error {
				if f.owner.Load() > 0 {
					pings.Add(1)
				}
				return nil
			}
			c.Identity = func(_ context.Context, f *fake) (string, error) { return fmt.Sprint("server ", f.id), nil }
		})
		a, b, c := acquire(t, p), acquire(t, p), acquire(t, p)
		a.Value().owner.Store(1)
		s.dialTime.Store(int64(10 * time.Millisecond))
		d := make(chan pool.Lease[*fake])
		go func() { d <- acquire(t, p) }()
		synctest.Wait() // another connection is being dialled, and leads to another server
		b.Release()
		c.Release() // so that the first has room, and lies in the store
		(<-d).Release()
		pass(time.Second)
		if n := pings.Load(); n != 0 {
			t.Errorf("a connection was pinged %d times beside its user", n)
		}
		a.Value().owner.Store(0)
		a.Release()
		pass(time.Second)
		if n := p.Stats().Heartbeats; n != 1 {
			t.Errorf("after its user had left, it was asked %d times who it is", n)
		}
	})
}

func TestTryAcquirePingsOneConnectionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.pingTime.Store(int64(time.Millisecond))
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.MaxOpen = 20 })
		fill(t, p, 20)
		pass(2 * time.Second)
		if _, ok := p.TryAcquire(); ok {
			t.Error("a connection that was idle for two seconds was lent without a ping")
		}
		if st := p.Stats(); st.Checking != 1 || st.Idle != 19 {
			t.Errorf("one call took %d of 20 connections out for pings", st.Checking)
		}
		pass(10 * time.Millisecond)
		if l, ok := p.TryAcquire(); !ok {
			t.Error("a connection that has just answered was not lent")
		} else {
			l.Release()
		}
	})
}

func TestPingThatNeverReturnsIsGivenUpThoughNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		hang := make(chan struct{})
		defer close(hang)
		var hangs atomic.Bool
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MinIdle: 2, HeartbeatEvery: 5 * time.Second, HeartbeatTimeout: time.Second}
			c.Ping = func(context.Context, *fake) error {
				if hangs.Swap(false) {
					<-hang // heeds nothing
				}
				return nil
			}
		})
		if err := p.WarmUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		hangs.Store(true)
		pass(7 * time.Second)
		if st := p.Stats(); st.Checking != 0 || st.Idle < 2 || st.Closed[conn.Heartbeat] != 1 {
			t.Errorf("a ping began 7 s ago, may take 1 s, and has not returned: %+v", st)
		}
		pass(20 * time.Second)
		if st := p.Stats(); st.Heartbeats < 6 {
			t.Errorf("after a ping that hung, two connections were pinged %d times in 20 s", st.Heartbeats)
		}
	})
}

func TestEvictStaleEndsThoughAPingNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{HeartbeatEvery: -1, HeartbeatTimeout: time.Second}
			c.Ping = func(context.Context, *fake) error { <-hang; return nil }
		})
		fill(t, p, 2)
		began := time.Now()
		n, err := p.EvictStale(context.Background())
		if took := time.Since(began); n != 2 || err != nil || took > 3*time.Second {
			t.Errorf("two connections whose pings hang: %d closed, %v, after %v", n, err, took)
		}
	})
}

func TestReplacementIsDialledOnceWhereOtherConnectionsArePinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.pingTime.Store(int64(time.Millisecond))
		limits := pool.Limits{MaxOpen: 40, MaxDialing: 40, MinIdle: 1, MaxLifetime: 10 * time.Second, MaxLifetimeJitter: -1, HeartbeatEvery: 5 * time.Second}
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits = limits })
		if err := p.WarmUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second)
		limits.MinIdle = 20
		if err := p.SetLimits(limits); err != nil {
			t.Fatal(err)
		}
		pass(6 * time.Second)
		if n := s.dials.Load(); n != 21 {
			t.Errorf("of twenty connections one grew too old, and %d were dialled in its place", n-20)
		}
	})
}

func TestWhoTimesOutFirstIsToldThatNobodyWasInFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits = pool.Limits{MaxOpen: 1, AcquireTimeout: time.Second} })
		defer acquire(t, p).Release()
		ahead := make(chan int, 10)
		wait := func(ctx context.Context) {
			var e *pool.ExhaustedError
			if _, err := p.Acquire(ctx); !errors.As(err, &e) {
				t.Errorf("a pool of one lent two: %v", err)
				return
			}
			ahead <- e.Ahead
		}
		for range 5 {
			go wait(context.Background())
			pass(10 * time.Millisecond)
		}
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		go wait(short)
		pass(200 * time.Millisecond)
		if n := <-ahead; n != 5 {
			t.Errorf("the sixth in line was told of %d in front", n)
		}
		for range 5 {
			if n := <-ahead; n != 0 {
				t.Errorf("the first in line was told of %d in front", n)
			}
		}
	})
}

func TestDrainThatEndsEarlyCountsWhatIsLentThoughItDied(t *testing.T) {
	s := newPeer(t)
	p := s.pool(t, nil)
	l := lend(t, p)
	_ = (<-s.accepted).Close()
	if !collect(t, func() bool { return p.Stats().Stale == 1 }) {
		t.Fatalf("a connection that died in use does not count as stale: %+v", p.Stats())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Drain(ctx); err == nil || !strings.Contains(err.Error(), "1 connection is still lent, #") {
		t.Errorf("one connection is lent, and dead: %v", err)
	}
	l.Release()
}
