package pool_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// withRoom opens n connections of two leases each, and leaves one lease on each.
func withRoom(t *testing.T, n int, l pool.Limits) (*pool.Pool[*fake], []pool.Lease[*fake]) {
	t.Helper()
	p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
		c.Shares = func(*fake) int { return 2 }
		c.Limits = l
	})
	var all, kept []pool.Lease[*fake]
	for range 2 * n {
		all = append(all, acquire(t, p))
	}
	seen := map[uint64]bool{}
	for _, l := range all {
		if id := l.Info().Conn; !seen[id] {
			seen[id] = true
			kept = append(kept, l)
		} else {
			l.Release()
		}
	}
	if len(kept) != n {
		t.Fatalf("%d connections, not %d", len(kept), n)
	}
	return p, kept
}

func TestConnectionWithRoomIsNeverTakenFromThoseWhoUseIt(t *testing.T) {
	for name, c := range map[string]struct {
		limits pool.Limits
		then   func(*testing.T, *pool.Pool[*fake])
	}{
		"its lifetime ends":      {pool.Limits{MaxOpen: 3, MaxLifetime: time.Second, MaxLifetimeJitter: -1}, nil},
		"more than KeepWarm":     {pool.Limits{MaxOpen: 3, KeepWarm: 1}, nil},
		"its idle time would be": {pool.Limits{MaxOpen: 3, MaxIdleTime: time.Second}, nil},
		"the pool is made smaller": {pool.Limits{MaxOpen: 3}, func(t *testing.T, p *pool.Pool[*fake]) {
			if err := p.SetLimits(pool.Limits{MaxOpen: 1}); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, leases := withRoom(t, 3, c.limits)
				if c.then != nil {
					c.then(t, p)
				}
				pass(10 * time.Second)
				for _, l := range leases {
					if err := l.Err(); err != nil {
						t.Errorf("a lease was ended under its user: %v", err)
					}
					l.Release()
				}
			})
		})
	}
}

func TestConnectionThatTakesNoLeaseAtAllIsClosedAsSaidGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Shares = func(f *fake) int {
				if f.id == 1 && f.pings.Load() > 0 {
					return 0
				}
				return 1
			}
		})
		l := acquire(t, p)
		l.Value().pings.Add(1) // from now on it has no room
		l.Release()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		next, err := p.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if n := p.Stats().Closed[conn.GoAway]; n != 1 || next.Value().id == 1 {
			t.Errorf("connection %d was lent, and %d were closed because they take no lease any more, not 1", next.Value().id, n)
		}
		next.Release()
	})
}

func TestWaitWithoutADeadlineEndsThoughTheClockStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 1, AcquireTimeout: 500 * time.Millisecond}
		})
		l := acquire(t, p)
		pass(10 * time.Second)
		began := time.Now()
		if _, err := p.Acquire(context.Background()); err == nil {
			t.Error("a connection was lent twice")
		}
		if took := time.Since(began); took < 500*time.Millisecond || took > 520*time.Millisecond {
			t.Errorf("a wait of at most 500 ms ended after %v", took)
		}
		l.Release()
	})
}

func TestTimeThatCallersWaitedIsAddedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits.MaxOpen = 1 })
		for range 3 {
			l := acquire(t, p)
			time.AfterFunc(100*time.Millisecond, l.Release)
		}
		if got := p.Stats().WaitTime; got != 200*time.Millisecond {
			t.Errorf("two callers waited 100 ms each, and the sum is %v", got)
		}
		pass(time.Second)
	})
}

func TestRoundTripOfThePingIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, nil)
		acquire(t, p).Release()
		s.pingTime.Store(int64(70 * time.Millisecond))
		pass(5 * time.Second)
		acquire(t, p).Release()
		if got := p.Snapshot()[0].LastHeartbeat; got != 70*time.Millisecond {
			t.Errorf("a ping of 70 ms is shown as %v", got)
		}
	})
}

func TestPingEndedByTheEndOfThePoolIsNoFailedHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.HeartbeatEvery = 5 * time.Second })
		acquire(t, p).Release()
		s.pingTime.Store(int64(time.Second))
		pass(5*time.Second + 200*time.Millisecond)
		if c := p.Stats().Checking; c != 1 {
			t.Fatalf("%d heartbeats under way, not 1", c)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if got := p.Stats().Closed; got[conn.Drained] != 1 || got[conn.Heartbeat] != 0 {
			t.Errorf("the connection was closed for %v, not drained", got)
		}
	})
}

func TestTestOnBorrowPingsBeforeEachLoan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.TestOnBorrow = true })
		for range 4 {
			acquire(t, p).Release()
		}
		if n := s.pings.Load(); n != 3 {
			t.Errorf("%d pings before 3 loans of a used connection", n)
		}
	})
}

func TestLifetimeThatIsTurnedOffEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits = pool.Limits{MaxLifetime: 10 * time.Second, HeartbeatEvery: -1} })
		acquire(t, p).Release()
		l := p.Limits()
		l.MaxLifetime, l.MaxLifetimeJitter = -1, 0
		if err := p.SetLimits(l); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if s := p.Stats(); s.Open != 1 || s.Closed[conn.MaxLifetime] != 0 {
			t.Errorf("%d open, closed %v: a lifetime ended that was turned off", s.Open, s.Closed)
		}
	})
}

func TestConnectionUsedWithinTheSecondIsNotTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits = pool.Limits{MaxOpen: 5, KeepWarm: 1} })
		for range 20 {
			fill(t, p, 5)
			pass(100 * time.Millisecond)
		}
		if s := p.Stats(); s.Idle != 5 {
			t.Errorf("%d of 5 connections are left that were used all the time", s.Idle)
		}
	})
}

func TestAllWhoHaveRoomOnANewConnectionAreServedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.dialTime.Store(int64(100 * time.Millisecond))
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Shares = func(*fake) int { return 4 }
			c.Limits.MaxOpen = 1
		})
		took := make(chan time.Duration, 4)
		for range 4 {
			go func() {
				began := time.Now()
				l := acquire(t, p)
				took <- time.Since(began)
				l.Release()
			}()
		}
		for range 4 {
			if d := <-took; d != 100*time.Millisecond {
				t.Errorf("a caller for whom there is room on the new connection waited %v, not the 100 ms of its dial", d)
			}
		}
	})
}

func TestPingThatHangsDoesNotKeepADrainWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Ping = func(context.Context, *fake) error { <-over; return nil } // it heeds nothing
			c.Limits.HeartbeatEvery = 5 * time.Second
		})
		acquire(t, p).Release()
		pass(5*time.Second + 100*time.Millisecond)
		if c := p.Stats().Checking; c != 1 {
			t.Fatalf("%d heartbeats under way, not 1", c)
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.Drain(ctx); err != nil {
			t.Errorf("Drain: %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("a ping that hangs kept the drain waiting for %v", took)
		}
		close(over)
		pass(time.Second)
	})
}
