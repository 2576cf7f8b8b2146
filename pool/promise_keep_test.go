package pool_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

func TestOnlyWhatIsHeldIsReportedAsHeldForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := &log{}
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Observer = seen
			c.Limits.LeakAfter = time.Second
		})
		acquire(t, p).Release()
		pass(10 * time.Second)
		if n := len(seen.of(pool.Leaked)); n != 0 {
			t.Errorf("a connection that rests was reported %d times as held for too long", n)
		}
	})
}

func TestStacksAreKeptForAMinuteAfterAnExhaustionAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 1, AcquireTimeout: 100 * time.Millisecond}
		})
		traced := func() bool {
			l := acquire(t, p)
			defer l.Release()
			return p.Snapshot()[0].Holder != ""
		}
		if traced() {
			t.Error("a stack was kept for no reason")
		}
		l := acquire(t, p)
		if _, err := p.Acquire(context.Background()); !errors.Is(err, pool.ErrExhausted) {
			t.Fatalf("a second lease of one connection: %v", err)
		}
		l.Release()
		for range 58 {
			if !traced() {
				t.Fatal("within a minute after an exhaustion the holder's stack was not kept")
			}
			pass(time.Second)
		}
		pass(3 * time.Second)
		traced()
		pass(time.Second)
		if traced() {
			t.Error("more than a minute after an exhaustion every loan still pays for a stack")
		}
	})
}

func TestEachKindOfFailedWaitIsCountedAsWhatItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 1, AcquireTimeout: time.Second}
		})
		held := acquire(t, p)
		type counts struct{ timeouts, cancels uint64 }
		var want counts
		check := func(what string) {
			t.Helper()
			st := p.Stats()
			if got := (counts{st.WaitTimeouts, st.WaitCancels}); got != want {
				t.Errorf("%s: counted %+v, want %+v", what, got, want)
			}
		}
		wait := func(ctx context.Context) error {
			_, err := p.Acquire(ctx)
			return err
		}
		if err := wait(context.Background()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("AcquireTimeout gave %v", err)
		}
		want.timeouts++
		check("AcquireTimeout")
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a deadline gave %v", err)
		}
		want.timeouts++
		check("deadline")
		ctx, cancel = context.WithCancel(context.Background())
		time.AfterFunc(500*time.Millisecond, cancel)
		if err := wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a cancellation gave %v", err)
		}
		want.cancels++
		check("cancellation")
		s.dialErr.Store(failWith(errors.New("refused")))
		time.AfterFunc(500*time.Millisecond, func() { held.Discard(nil) })
		var dial *pool.DialError
		if err := wait(context.Background()); !errors.As(err, &dial) {
			t.Errorf("a dial that fails gave %v", err)
		}
		check("failed dial")
		s.dialTime.Store(int64(time.Hour))
		time.AfterFunc(500*time.Millisecond, func() { _ = p.Close() })
		if err := wait(context.Background()); !errors.Is(err, pool.ErrClosed) {
			t.Errorf("the end of the pool gave %v", err)
		}
		check("closed")
	})
}

func TestQuietPoolRefillsMinIdleAsSoonAsTheServerIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MinIdle: 1, HeartbeatEvery: time.Hour, MaxLifetime: -1}
		})
		pass(time.Hour - time.Second)
		s.pingErr.Store(failWith(errors.New("broken")))
		s.dialErr.Store(failWith(errors.New("refused")))
		pass(time.Minute)
		if st := p.Stats(); st.Open != 0 || st.DialErrors == 0 {
			t.Fatalf("the server is away: %+v", st)
		}
		s.pingErr.Store(nil)
		s.dialErr.Store(nil)
		pass(1100 * time.Millisecond)
		if st := p.Stats(); st.Idle != 1 {
			t.Errorf("a second after the server came back: %+v", st)
		}
	})
}

func TestQuietPoolWakesWhenAnIdleTimeIsOverAndNotForThoseItKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Ping = nil
			c.Limits = pool.Limits{KeepWarm: 4, KeepWarmElastic: 0.5, MaxIdleTime: 10 * time.Minute, HeartbeatEvery: -1, MaxLifetime: -1}
		})
		fill(t, p, 4)
		pass(10*time.Minute + 100*time.Millisecond)
		if st := p.Stats(); st.Idle != 2 || st.Closed[conn.MaxIdle] != 2 {
			t.Errorf("at the end of MaxIdleTime: %+v", st)
		}
		before := p.Looks()
		pass(30 * time.Minute)
		if n := p.Looks() - before; n > 3 {
			t.Errorf("a pool with nothing to do looked %d times in half an hour", n)
		}
	})
}

func TestHeartbeatWithoutPingKeepsWhatIsAliveAndEndsWhatIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := pool.New(pool.Config[net.Conn]{
			Limits: pool.Limits{HeartbeatEvery: time.Second, MaxIdleTime: -1, MaxLifetime: -1},
			Dial: func(context.Context) (net.Conn, error) {
				near, far := net.Pipe()
				t.Cleanup(func() { _ = far.Close() })
				return guard.Wrap(near, guard.Options{}), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = p.Close() }()
		l, err := p.Acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		peer := p.Snapshot()[0].Peer
		l.Release()
		pass(time.Minute)
		if st := p.Stats(); st.Idle != 1 || st.Dials != 1 {
			t.Errorf("after a minute of heartbeats: %+v", st)
		}
		if peer != "pipe" {
			t.Errorf("the peer is said to be %q", peer)
		}
	})
}

func TestCloseThatHangsDoesNotKeepTheNextOneFromBeingClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 3, MaxClosing: 1, HeartbeatTimeout: time.Second}
		})
		a, b, c := acquire(t, p), acquire(t, p), acquire(t, p)
		s.closeTime.Store(int64(time.Hour))
		a.Discard(nil)
		b.Discard(nil)
		c.Discard(nil)
		pass(100 * time.Millisecond)
		if st := p.Stats(); st.Closing != 1 || st.Stale != 2 {
			t.Errorf("one close at a time: %+v", st)
		}
		pass(3100 * time.Millisecond)
		if st := p.Stats(); st.Open != 0 {
			t.Errorf("three closes that hang, given up after a second each: %+v", st)
		}
		pass(2 * time.Hour) // the user's own closes end
	})
}

func TestShortWayIsOpenAgainOnceNothingIsTooMany(t *testing.T) {
	p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits.MaxOpen = 2 })
	a, b := acquire(t, p), acquire(t, p)
	if err := p.SetLimits(pool.Limits{MaxOpen: 1}); err != nil {
		t.Fatal(err)
	}
	a.Release()
	if p.Offered() != 0 || p.Stats().Closed[conn.Shrunk] != 1 {
		t.Errorf("the first of two that came back to a pool of one: %+v", p.Stats())
	}
	b.Release()
	without(t, p, 1, func() { acquire(t, p).Release() }, func() { acquire(t, p).Release() })
}

func TestShrinkingLeavesSharedConnectionsToTheirUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var room atomic.Int64
		room.Store(1)
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			streams(&room)(c)
			c.Limits.MaxOpen = 2
		})
		a, b := acquire(t, p), acquire(t, p)
		room.Store(5) // both have room, and rest in the list while they are lent
		pass(100 * time.Millisecond)
		if err := p.SetLimits(pool.Limits{MaxOpen: 1}); err != nil {
			t.Fatal(err)
		}
		pass(100 * time.Millisecond)
		if a.Value().closed.Load() || b.Value().closed.Load() || a.Err() != nil || b.Err() != nil {
			t.Error("a lower MaxOpen closed a connection in its user's hands")
		}
		a.Release()
		b.Release()
		synctest.Wait()
		if st := p.Stats(); st.Open != 1 || st.Closed[conn.Shrunk] != 1 {
			t.Errorf("after both returns: %+v", st)
		}
	})
}

func TestSilentConnectionForWhichThereIsNoWaiterLeftStaysInThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, nil)
		fill(t, p, 3)
		pass(5 * time.Second)
		s.pingTime.Store(int64(100 * time.Millisecond))
		acquire(t, p).Release()
		if st := p.Stats(); len(st.Closed) != 0 || st.Idle != 3 || s.pings.Load() != 1 {
			t.Errorf("one caller met three silent connections: %d pings, %+v", s.pings.Load(), st)
		}
	})
}

func TestSharesIsAskedOnlyOfOpenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.dialTime.Store(int64(time.Second))
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits.MaxOpen = 2
			c.Shares = func(f *fake) int {
				if f == nil || f.closed.Load() {
					t.Error("Shares was asked of a connection that is being dialled or is closed")
				}
				return 1
			}
		})
		first := acquire(t, p)
		began := time.Now()
		second := acquire(t, p) // ticks pass while it is dialled
		if d := time.Since(began); d != time.Second {
			t.Errorf("the second caller waited for %v", d)
		}
		s.closeTime.Store(int64(time.Second))
		first.Discard(nil)
		third := acquire(t, p) // ticks pass while the first is closed and the third is dialled
		s.closeTime.Store(0)
		second.Release()
		third.Release()
	})
}

func TestErrorNamesWhoGaveUpAndWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 1, AcquireTimeout: time.Second, LeakAfter: time.Hour}
		})
		l := acquire(t, p)
		defer l.Release()
		_, err := p.Acquire(context.Background())
		if err == nil || !strings.Contains(err.Error(), "held #") || !strings.HasSuffix(err.Error(), ": "+context.DeadlineExceeded.Error()) {
			t.Errorf("the error is %v", err)
		}
	})
}

// The pool's clock stands still while nobody uses the pool. What is returned then was used just now.
func TestConnectionThatIsReturnedAfterALongLoanIsAsGoodAsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 2, MaxIdleTime: time.Minute, MaxLifetime: -1, HeartbeatEvery: -1}
		})
		pass(time.Hour)
		l := acquire(t, p)
		f := l.Value()
		pass(30 * time.Minute)
		l.Release()
		if idle := p.Snapshot()[0].Idle; idle > time.Second {
			t.Errorf("it was returned just now and counts as idle for %v", idle)
		}
		pass(30 * time.Second)
		if l = acquire(t, p); l.Value() != f {
			t.Errorf("it was closed half a minute after its return, with a MaxIdleTime of a minute: %v", p.Deaths())
		}
		l.Release()
	})
}
