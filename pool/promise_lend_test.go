package pool_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

func TestTryAcquireDialsOnlyWhereThereIsRoomAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.dialTime.Store(int64(time.Second))
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.MaxOpen = 2 })
		for range 5 {
			if _, ok := p.TryAcquire(); ok {
				t.Fatal("an empty pool lent a connection")
			}
		}
		if st := p.Stats(); st.Dialing != 1 {
			t.Errorf("five tries began %d dials; one is enough", st.Dialing)
		}
		pass(2 * time.Second)
		a, b := acquire(t, p), acquire(t, p)
		if _, ok := p.TryAcquire(); ok {
			t.Error("a full pool lent a third connection of two")
		}
		synctest.Wait()
		if n := s.dials.Load(); n != 2 {
			t.Errorf("%d dials for two places", n)
		}
		a.Release()
		b.Release()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if _, ok := p.TryAcquire(); ok {
			t.Error("a closed pool lent a connection")
		}
		synctest.Wait()
	})
}

func TestSharedConnectionThatWasInvalidatedTakesNoMoreLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		n.Store(4)
		p := newPool(t, &fakeServer{}, streams(&n))
		a := acquire(t, p)
		p.Invalidate(errors.New("fail-over"))
		b := acquire(t, p)
		if a.Value() == b.Value() {
			t.Error("a lease was added to a connection of an old generation")
		}
		a.Release()
		b.Release()
		synctest.Wait()
		if st := p.Stats(); st.Closed[conn.Generation] != 1 || st.Idle != 1 {
			t.Errorf("after both returns: %+v", st)
		}
	})
}

func TestSilentSharedConnectionIsPingedBeforeItIsLentAndABusyOneIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		n.Store(4)
		s := &fakeServer{}
		p := newPool(t, s, streams(&n))
		acquire(t, p).Release()
		pass(1100 * time.Millisecond)
		a := acquire(t, p)
		if got := s.pings.Load(); got != 1 {
			t.Errorf("a shared connection silent for 1.1 s was pinged %d times before its loan", got)
		}
		if d := s.dials.Load(); d != 1 {
			t.Errorf("%d were dialled beside the ping", d-1)
		}
		pass(1100 * time.Millisecond)
		b := acquire(t, p)
		if got := s.pings.Load(); got != 1 || s.dials.Load() != 1 {
			t.Errorf("a connection with a user was pinged %d times more, and %d were dialled", got-1, s.dials.Load())
		}
		a.Release()
		b.Release()
	})
}

func TestCondemnedConnectionIsGoneWithItsReturn(t *testing.T) {
	for _, shared := range []bool{false, true} {
		var shares func(*guard.Conn) int
		if shared {
			shares = func(*guard.Conn) int { return 4 }
		}
		p, err := pool.New(pool.Config[*guard.Conn]{
			Name: "condemned", Shares: shares, Guard: func(g *guard.Conn) *guard.Conn { return g },
			Dial: func(context.Context) (*guard.Conn, error) {
				near, far := net.Pipe()
				t.Cleanup(func() { _ = far.Close() })
				return guard.Wrap(near, guard.Options{}), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		l, err := p.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.Value().Condemn(conn.GoAway)
		l.Release()
		if st := p.Stats(); st.Idle != 0 || st.InUse != 0 {
			t.Errorf("shared %v: a condemned connection rests in the pool after its return: %+v", shared, st)
		}
		if err := p.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := p.Stats(); st.Closed[conn.GoAway] != 1 {
			t.Errorf("shared %v: it was closed by %v; its guard says goaway", shared, st.Closed)
		}
	}
}

func TestTryAcquireTellsTheObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		n.Store(2)
		for _, shared := range []bool{false, true} {
			seen := &log{}
			p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
				c.Observer = seen
				if shared {
					streams(&n)(c)
				}
			})
			acquire(t, p).Release()
			before := len(seen.of(pool.CheckedOut))
			l, ok := p.TryAcquire()
			if got := len(seen.of(pool.CheckedOut)) - before; !ok || got != 1 {
				t.Errorf("shared %v: a loan by TryAcquire (%v) was told %d times", shared, ok, got)
			}
			l.Release()
		}
	})
}

func TestTryAcquireOfASharedConnectionIsALoanLikeOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Limits.MaxOpen, c.Shares = 1, func(*fake) int { return 2 }
		})
		first := acquire(t, p)
		second, ok := p.TryAcquire()
		if !ok || second.Value() != first.Value() {
			t.Fatalf("a connection with room for two was not lent a second time: %v", ok)
		}
		if _, ok = p.TryAcquire(); ok {
			t.Error("a connection with room for two was lent three times")
		}
		first.Release()
		second.Release()
		if again, ok := p.TryAcquire(); !ok {
			t.Error("an idle connection was not lent")
		} else {
			again.Release()
		}
		if st := p.Stats(); st.Misuses != 0 || st.Leases != 0 || st.Idle != 1 {
			t.Errorf("after all have returned theirs: %+v", st)
		}
	})
}
