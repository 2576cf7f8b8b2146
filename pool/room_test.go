package pool_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/pool"
)

// asked is a pool whose only connection takes two leases, one of which is out, and a caller who is about to get the other: the pool asks the connection
// how many it takes, and waits for an answer until go is closed.
type asked struct {
	p     *pool.Pool[*fake]
	s     *fakeServer
	first pool.Lease[*fake]
	got   chan pool.Lease[*fake]
	errs  chan error
	hold  chan struct{}
}

func askedPool(t *testing.T, limits pool.Limits) *asked {
	t.Helper()
	a := &asked{s: &fakeServer{}, got: make(chan pool.Lease[*fake], 1), errs: make(chan error, 1), hold: make(chan struct{})}
	look := make(chan struct{}, 1)
	a.p = newPool(t, a.s, func(c *pool.Config[*fake]) {
		c.Limits = limits
		c.Shares = func(*fake) int {
			select {
			case <-look:
				<-a.hold
			default:
			}
			return 2
		}
	})
	a.first = acquire(t, a.p)
	look <- struct{}{}
	go func() {
		l, err := a.p.Acquire(context.Background())
		a.got <- l
		a.errs <- err
	}()
	synctest.Wait()
	return a
}

func TestCallerWhoFindsRoomOnASharedConnectionIsNotCountedAsOneWhoWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Shares = func(*fake) int { return 3 } })
		first := acquire(t, p)
		before := p.Stats()
		for range 2 {
			l := acquire(t, p)
			defer l.Release()
		}
		first.Release()
		last := acquire(t, p)
		defer last.Release()
		if st := p.Stats(); before.Waits != 1 || st.Waits != 1 || st.WaitCounts != before.WaitCounts {
			t.Errorf("the first caller waited for a dial, nobody after him: %d and %d waits, %v", before.Waits, st.Waits, st.WaitCounts)
		}
	})
}

func TestCallerWhoComesWhileAnotherIsAboutToBeServedIsServedAfterHim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := askedPool(t, pool.Limits{MaxOpen: 2})
		second := make(chan pool.Lease[*fake], 1)
		go func() { second <- acquire(t, a.p) }()
		synctest.Wait()
		if st := a.p.Stats(); st.Waiting != 1 || st.Dialing != 0 {
			t.Errorf("while the pool looks at the connection with room: %+v", st)
		}
		began := time.Now()
		close(a.hold)
		one, two := <-a.got, <-second
		if time.Since(began) > 0 || one.Value() != a.first.Value() || two.Value() == one.Value() || a.s.dials.Load() != 2 {
			t.Errorf("after %v: connections %d and %d, %d dials", time.Since(began), one.Value().id, two.Value().id, a.s.dials.Load())
		}
		for _, l := range []pool.Lease[*fake]{a.first, one, two} {
			l.Release()
		}
	})
}

func TestConnectionThatIsGivenUpWhileItIsAboutToBeLentIsNotLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := askedPool(t, pool.Limits{})
		given := a.first.Value()
		a.first.Discard(errors.New("its user saw it break"))
		close(a.hold)
		if l := <-a.got; <-a.errs != nil || l.Value() == given {
			t.Errorf("connection %d was lent", l.Value().id)
		} else {
			l.Release()
		}
		synctest.Wait()
		if !given.closed.Load() {
			t.Error("it was not closed")
		}
	})
}

func TestPoolThatIsClosedWhileItLooksAtAConnectionLendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := askedPool(t, pool.Limits{})
		lent := a.first.Value()
		done := make(chan error, 1)
		go func() { done <- a.p.Close() }()
		synctest.Wait()
		close(a.hold)
		if l := <-a.got; !errors.Is(<-a.errs, pool.ErrClosed) {
			t.Errorf("it lent connection %d", l.Value().id)
		}
		a.first.Release()
		synctest.Wait()
		if err := <-done; err != nil || !lent.closed.Load() {
			t.Errorf("close: %v", err)
		}
	})
}

func TestReplacementForTheLastRestingSharedConnectionIsDialledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MinIdle: 1}
			c.Shares = func(*fake) int { return 1 }
		})
		synctest.Wait()
		l := acquire(t, p)
		synctest.Wait()
		if st := p.Stats(); st.Idle != 1 || st.Open != 2 || s.dials.Load() != 2 {
			t.Errorf("one was taken, of one that is to rest: %+v", st)
		}
		l.Release()
	})
}

// burst has n callers ask at once, and gives back when all of them have a lease. It tells how long the last one waited.
func burst(t *testing.T, p *pool.Pool[*fake], n int) time.Duration {
	t.Helper()
	began, got := time.Now(), make(chan pool.Lease[*fake], n)
	for range n {
		go func() { got <- acquire(t, p) }()
	}
	leases := make([]pool.Lease[*fake], n)
	for i := range leases {
		leases[i] = <-got
	}
	took := time.Since(began)
	for _, l := range leases {
		l.Release()
	}
	return took
}

func TestBurstDialsWhatItNeedsAsSoonAsOneConnectionHasToldHowManyLeasesItTakes(t *testing.T) {
	for shares, dials := range map[int]int64{1: 12, 4: 3} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeServer{}
			s.dialTime.Store(int64(100 * time.Millisecond))
			p := newPool(t, s, func(c *pool.Config[*fake]) {
				c.Limits = pool.Limits{MaxOpen: 20, MaxDialing: 20}
				c.Shares = func(*fake) int { return shares }
			})
			if took := burst(t, p, 12); took > 200*time.Millisecond || s.dials.Load() != dials {
				t.Errorf("%d leases a connection: the last of 12 callers waited %v, and %d connections were dialled, not %d", shares, took, s.dials.Load(), dials)
			}
		})
	}
}

func TestBurstDialsForTheLeasesThatConnectionsTakeOnceTheyKnowTheirPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.dialTime.Store(int64(100 * time.Millisecond))
		var greeted atomic.Bool
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 50, MaxDialing: 50}
			c.Shares = func(*fake) int {
				if greeted.Load() {
					return 10
				}
				return 1 // until the peer has said how many
			}
		})
		acquire(t, p).Release()
		greeted.Store(true)
		acquire(t, p).Release() // now it is known
		before := s.dials.Load()
		burst(t, p, 40)
		if n := s.dials.Load() - before; n > 3 {
			t.Errorf("%d connections were dialled for 40 callers where each takes 10, and one was there", n)
		}
	})
}

func TestBurstDialsMoreWhenNewConnectionsTakeFewerLeasesThanOldOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.dialTime.Store(int64(100 * time.Millisecond))
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 50, MaxDialing: 50}
			c.Shares = func(f *fake) int {
				if f.id == 1 {
					return 10
				}
				return 4
			}
		})
		acquire(t, p).Release()
		if took := burst(t, p, 40); took > 200*time.Millisecond {
			t.Errorf("the last of 40 callers waited %v: two rounds of dials are enough, one that shows that 4 is the number now, and one for the rest", took)
		}
	})
}
