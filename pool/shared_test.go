package pool_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// streams makes each connection take n leases.
func streams(n *atomic.Int64) func(*pool.Config[*fake]) {
	return func(c *pool.Config[*fake]) { c.Shares = func(*fake) int { return int(n.Load()) } }
}

func TestSharedConnectionTakesAsManyLeasesAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		n.Store(4)
		s := &fakeServer{}
		p := newPool(t, s, streams(&n))
		var leases []pool.Lease[*fake]
		perConn := map[*fake]int64{}
		for range 12 {
			l := acquire(t, p)
			leases = append(leases, l)
			if perConn[l.Value()]++; perConn[l.Value()] > 4 {
				t.Errorf("a connection for 4 leases has %d", perConn[l.Value()])
			}
		}
		if st := p.Stats(); st.InUse != 3 || st.Leases != 12 || s.dials.Load() != 3 {
			t.Errorf("12 leases at 4 a connection: %+v", st)
		}
		for _, l := range leases {
			l.Release()
			l.Release()
		}
		if st := p.Stats(); st.Idle != 3 || st.Leases != 0 || st.Misuses != 12 {
			t.Errorf("after all leases were returned twice: %+v", st)
		}
	})
}

func TestSharedWaiterIsServedByAReturnAndByMoreRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		n.Store(1)
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			streams(&n)(c)
			c.Limits.MaxOpen = 1
		})
		first := acquire(t, p)
		got := make(chan pool.Lease[*fake], 2)
		for range 2 {
			go func() { got <- acquire(t, p) }()
		}
		synctest.Wait()
		first.Release()
		second := <-got
		n.Store(2) // the peer allows one more stream, and nobody returns anything
		pass(50 * time.Millisecond)
		third := <-got
		second.Release()
		third.Release()
	})
}

func TestDiscardOfOneLeaseTakesTheConnectionOutAndLetsTheOthersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		n.Store(10)
		p := newPool(t, &fakeServer{}, streams(&n))
		a, b := acquire(t, p), acquire(t, p)
		broken := a.Value()
		a.Discard(errors.New("stream error"))
		c := acquire(t, p)
		if c.Value() == broken {
			t.Error("a discarded connection was lent again")
		}
		if b.Value() != broken || broken.closed.Load() {
			t.Error("the other lease of a discarded connection was cut")
		}
		b.Release()
		synctest.Wait()
		if !broken.closed.Load() {
			t.Error("a discarded connection stays open after its last lease")
		}
		c.Release()
		if st := p.Stats(); st.Closed[conn.Error] != 1 || st.Leases != 0 {
			t.Errorf("at the end: %+v", st)
		}
	})
}

func TestConnectionWithoutRoomForAnyoneIsReplacedWithAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		s := &fakeServer{}
		p := newPool(t, s, streams(&n))
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if _, err := p.Acquire(ctx); !errors.Is(err, pool.ErrExhausted) {
			t.Errorf("connections without room gave %v", err)
		}
		if d := s.dials.Load(); d < 2 || d > 40 {
			t.Errorf("a server that allows no lease was dialled %d times in 10 s", d)
		}
	})
}

func TestSharedLeasesUnderLoadAddUp(t *testing.T) {
	var n atomic.Int64
	n.Store(5)
	p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
		streams(&n)(c)
		c.Limits.MaxOpen = 4
		c.Ping = nil
	})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for j := range 500 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(10+(i+j)%200)*time.Microsecond)
				l, err := p.Acquire(ctx)
				cancel()
				if err != nil {
					continue
				}
				f := l.Value()
				if users := f.owner.Add(1); users > 5 {
					t.Errorf("a connection for 5 leases has %d users", users)
				}
				f.owner.Add(-1)
				switch (i + j) % 50 {
				case 0:
					l.Discard(errors.New("broken"))
				case 1:
					n.Store(int64(1 + j%5))
				}
				l.Release()
			}
		})
	}
	wg.Wait()
	if st := p.Stats(); st.Leases != 0 || st.InUse != 0 || st.Waiting != 0 {
		t.Errorf("after all returns: %+v", st)
	}
	drained(t, p)
}

// drained ends the pool and fails when a connection is left.
func drained(t *testing.T, p *pool.Pool[*fake]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestSharedConnectionThatBreaksWhileItIsLentFurtherIsClosedOnce(t *testing.T) {
	for range 15 {
		breakAndShare(t)
	}
}

// breakAndShare lends two connections to eight users at once, half of whom find theirs broken each time.
func breakAndShare(t *testing.T) {
	t.Helper()
	p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
		c.Limits.MaxOpen = 2
		c.Ping = nil
		c.Shares = func(*fake) int { return 5 }
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 1000 {
				l, err := p.Acquire(context.Background())
				if err != nil {
					t.Errorf("acquire: %v", err)
					return
				}
				if i%2 == 0 {
					l.Discard(errors.New("broken"))
				} else {
					l.Release()
				}
			}
		})
	}
	wg.Wait()
	drained(t, p)
}
