package pool_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// fill opens n connections and returns them all, so that they are idle.
func fill(t *testing.T, p *pool.Pool[*fake], n int) {
	t.Helper()
	leases := make([]pool.Lease[*fake], n)
	for i := range leases {
		leases[i] = acquire(t, p)
	}
	for _, l := range leases {
		l.Release()
	}
}

func TestSilentConnectionIsPingedBeforeItIsLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, nil)
		acquire(t, p).Release()
		acquire(t, p).Release()
		if n := s.pings.Load(); n != 0 {
			t.Errorf("a connection used just now was pinged %d times", n)
		}
		pass(1100 * time.Millisecond)
		l := acquire(t, p)
		if n := l.Value().pings.Load(); n != 1 {
			t.Errorf("a connection silent for 1.1 s was pinged %d times before its loan", n)
		}
		l.Release()
	})
}

func TestConnectionThatFailsItsPingIsNotLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, nil)
		fill(t, p, 5)
		pass(2 * time.Second)
		s.pingErr.Store(failWith(errors.New("gone away")))
		l := acquire(t, p)
		if l.Value().id <= 5 {
			t.Errorf("connection %d failed its ping and was lent", l.Value().id)
		}
		l.Release()
		synctest.Wait() // the dial for the borrower began when the ping failed, and may be faster than the burial
		if n := p.Stats().Closed[conn.Heartbeat]; n == 0 {
			t.Error("no connection was closed for its failed ping")
		}
	})
}

func TestUnansweredPingsCostABorrowerAQuarterSecondInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, nil)
		fill(t, p, 10) // MaxOpen: there is no place for a dial until a check is cut
		pass(2 * time.Second)
		s.deaf.Store(true)
		began := time.Now()
		l := acquire(t, p)
		if took := time.Since(began); took > 260*time.Millisecond {
			t.Errorf("behind a black hole the borrower waited %v", took)
		}
		l.Release()
	})
}

func TestCutPingAndDialFitIntoOneBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, nil)
		fill(t, p, 10)
		pass(2 * time.Second)
		s.deaf.Store(true)
		s.dialTime.Store(int64(time.Hour))
		began := time.Now()
		_, err := p.Acquire(context.Background())
		if took := time.Since(began); err == nil || took > 3210*time.Millisecond {
			t.Errorf("everything is silent: the caller waited %v for ping and dial, its budget is 3.2 s: %v", took, err)
		}
	})
}

func TestHeartbeatTakesTheConnectionOutAndDestroysIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		seen := &log{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Observer = seen
			c.Limits.HeartbeatEvery = 5 * time.Second
		})
		fill(t, p, 1)
		s.deaf.Store(true)
		pass(6 * time.Second)
		if st := p.Stats(); st.Checking != 1 || st.Idle != 0 {
			t.Errorf("during its heartbeat the connection counts as %+v", st)
		}
		pass(4 * time.Second)
		if st := p.Stats(); st.Open != 0 || st.Closed[conn.Heartbeat] != 1 {
			t.Errorf("after a heartbeat without an answer in 3.2 s: %+v", st)
		}
		beats := seen.of(pool.Heartbeat)
		if len(beats) != 1 || beats[0].Err == nil || beats[0].Duration != 3200*time.Millisecond {
			t.Errorf("heartbeats were reported as %+v", beats)
		}
	})
}

func TestHeartbeatsKeepIdleConnectionsProven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.HeartbeatEvery = 5 * time.Second })
		fill(t, p, 10)
		pass(61 * time.Second)
		if n := s.pings.Load(); n < 10*11 || n > 10*13 {
			t.Errorf("10 connections were pinged %d times in 61 s, at one ping in 5 s", n)
		}
		if st := p.Stats(); st.Idle != 10 || st.Dials != 10 {
			t.Errorf("healthy connections did not stay: %+v", st)
		}
	})
}

func TestIdlePoolSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.pingTime.Store(int64(time.Millisecond))
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.MaxIdleTime, c.Limits.MaxLifetime = -1, -1 })
		for range 10 { // ten connections whose heartbeats are not due together
			fill(t, p, p.Stats().Open+1)
			pass(2 * time.Second)
		}
		pass(time.Minute)
		before := p.Looks()
		pass(time.Hour)
		looks, pings := p.Looks()-before, s.pings.Load()
		if pings < 1000 {
			t.Errorf("ten idle connections were pinged %d times in an hour, at one in 30 s", pings)
		}
		// A thousand such pools look a thousand times a second at most; each look costs some microseconds.
		if looks > 3600 {
			t.Errorf("an idle pool of ten connections woke up %d times in an hour", looks)
		}
	})
}

func TestAtMostATenthIsCheckedAtOnceAndNoneWhileSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.pingTime.Store(int64(100 * time.Millisecond))
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits.MaxOpen, c.Limits.HeartbeatEvery, c.Limits.PingAfter = 40, 2*time.Second, -1
		})
		fill(t, p, 40)
		most := 0
		for range 1000 {
			pass(5 * time.Millisecond)
			most = max(most, p.Stats().Checking)
		}
		if most == 0 || most > 4 {
			t.Errorf("up to %d of 40 connections were checked at once", most)
		}
		var leases []pool.Lease[*fake]
		for range 40 {
			leases = append(leases, acquire(t, p))
		}
		go func() { acquire(t, p).Release() }()
		synctest.Wait()
		before := s.pings.Load()
		for _, l := range leases[1:20] {
			// Each return serves the waiter or rests; while somebody waits nothing may be pinged.
			_ = l.Info()
		}
		pass(3 * time.Second)
		if n := s.pings.Load() - before; n != 0 {
			t.Errorf("%d heartbeats while somebody waited", n)
		}
		for _, l := range leases {
			l.Release()
		}
	})
}

func TestResetRunsBeforeTheNextUserSeesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Limits.MaxOpen = 1
			c.Reset = func(_ context.Context, f *fake) error {
				f.resets.Add(1)
				return nil
			}
		})
		for i := range 10 {
			l := acquire(t, p)
			if n := l.Value().resets.Load(); n != int64(i) {
				t.Fatalf("before loan %d the connection was reset %d times", i+1, n)
			}
			l.Release()
		}
	})
}

func TestConnectionThatCannotBeResetIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Reset = func(context.Context, *fake) error { return errors.New("dirty") }
		})
		acquire(t, p).Release()
		synctest.Wait()
		if st := p.Stats(); st.Open != 0 || st.Closed[conn.Error] != 1 || s.open.Load() != 0 {
			t.Errorf("after a failed reset: %+v", st)
		}
	})
}

func TestEvictStaleClosesWhatDoesNotAnswerAndKeepsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, nil)
		fill(t, p, 6)
		n, err := p.EvictStale(context.Background())
		if n != 0 || err != nil {
			t.Errorf("EvictStale closed %d healthy connections: %v", n, err)
		}
		s.pingErr.Store(failWith(errors.New("gone away")))
		n, err = p.EvictStale(context.Background())
		if n != 6 || err != nil {
			t.Errorf("EvictStale closed %d of 6 dead connections: %v", n, err)
		}
		if st := p.Stats(); st.Idle != 0 {
			t.Errorf("dead connections remain: %+v", st)
		}
	})
}

func TestChangedIdentityEndsEveryOlderConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		name := "db1/primary"
		s.identity.Store(&name)
		seen := &log{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Observer = seen
			c.Limits.HeartbeatEvery = time.Second
			c.Identity = func(_ context.Context, f *fake) (string, error) { return *f.server.identity.Load(), nil }
		})
		fill(t, p, 4)
		pass(5 * time.Second)
		if st := p.Stats(); st.Idle != 4 || st.Generation != 1 {
			t.Fatalf("the same server was taken for another: %+v", st)
		}
		other := "db1/replica"
		s.identity.Store(&other)
		pass(2 * time.Second)
		st := p.Stats()
		if st.Generation != 2 || st.Closed[conn.Identity] != 4 {
			t.Errorf("after a change of role: generation %d, closed %v", st.Generation, st.Closed)
		}
		var id *pool.IdentityError
		if cleared := seen.of(pool.PoolCleared); len(cleared) != 1 || !errors.As(cleared[0].Err, &id) || id.Before != name || id.After != other {
			t.Errorf("the change was reported as %+v", cleared)
		}
	})
}

func TestChangeThatSeveralConnectionsNoticeAtOnceInvalidatesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		name, other := "db1/primary", "db2/primary"
		s.identity.Store(&name)
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits.HeartbeatEvery = -1
			c.Identity = func(_ context.Context, f *fake) (string, error) {
				time.Sleep(time.Duration(f.id%4) * 10 * time.Millisecond)
				return *f.server.identity.Load(), nil
			}
		})
		fill(t, p, 4)
		pass(2 * time.Second) // so that each is asked before its next loan
		s.identity.Store(&other)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { acquire(t, p).Release() })
		}
		wg.Wait()
		pass(time.Second) // for those that answer last
		if st := p.Stats(); st.Generation != 2 || st.Closed[conn.Identity] != 4 {
			t.Errorf("four noticed the same change: generation %d, want 2; closed %v", st.Generation, st.Closed)
		}
	})
}

func TestBehindABalancerNothingIsInvalidated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits.HeartbeatEvery = time.Second
			c.Identity = func(_ context.Context, f *fake) (string, error) {
				return []string{"a", "b"}[f.id%2], nil // two servers at one address
			}
		})
		fill(t, p, 6)
		pass(20 * time.Second)
		if st := p.Stats(); st.Generation != 1 || st.Idle != 6 || st.Dials != 6 {
			t.Errorf("two servers behind one address: %+v", st)
		}
		if n := s.pings.Load(); n < 6*18 || n > 6*21+6 {
			t.Errorf("6 connections with a heartbeat a second were pinged %d times in 20 s: two servers behind one address made them ask each other", n)
		}
	})
}

func TestWaiterForAPingDoesNotDialBesideIt(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeServer{}
			p := newPool(t, s, nil)
			fill(t, p, 1)
			pass(1100 * time.Millisecond)
			acquire(t, p).Release()
			if n := s.dials.Load(); n != 1 {
				t.Errorf("a connection was pinged for a caller and answered at once, and %d were dialled beside it", n-1)
			}
		})
	}
}
