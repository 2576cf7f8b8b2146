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

// aged fills p with n idle connections that were returned step after each other, oldest first.
func aged(t *testing.T, p *pool.Pool[*fake], n int, step time.Duration) []*fake {
	t.Helper()
	leases := make([]pool.Lease[*fake], n)
	list := make([]*fake, n)
	for i := range leases {
		leases[i] = acquire(t, p)
		list[i] = leases[i].Value()
	}
	for _, l := range leases {
		l.Release()
		pass(step)
	}
	return list
}

func TestConnectionUsedLastIsLentFirstWhateverWasCheckedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Limits.HeartbeatEvery = time.Second
			c.Limits.PingAfter = -1
		})
		list := aged(t, p, 3, 300*time.Millisecond)
		pass(300 * time.Millisecond) // the oldest had its heartbeat
		if list[0].pings.Load() != 1 || list[2].pings.Load() != 0 {
			t.Fatalf("pings: %d and %d", list[0].pings.Load(), list[2].pings.Load())
		}
		for i := 2; i >= 0; i-- {
			l := acquire(t, p)
			defer l.Release()
			if l.Value() != list[i] {
				t.Errorf("connection %d was lent where %d was used last", l.Value().id, list[i].id)
			}
		}
	})
}

func TestTryAcquireLeavesOffersToOthersAndPrefersWhatWasUsedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, nil)
		x, y := acquire(t, p), acquire(t, p)
		x.Release()
		pass(15 * time.Millisecond) // a tick has laid it into the list
		y.Release()
		if n := p.Offered(); n != 1 {
			t.Fatalf("%d connections are offered", n)
		}
		l, ok := p.TryAcquire()
		if !ok || p.Offered() != 1 {
			t.Errorf("TryAcquire %v took the offer of another, though the list had a connection as good", ok)
		}
		old := l.Value()
		l.Release()
		pass(30 * time.Millisecond)
		x, y = acquire(t, p), acquire(t, p)
		if x.Value() != old {
			x, y = y, x
		}
		x.Release()
		pass(50 * time.Millisecond)
		y.Release()
		newest := p.Offered() == 1
		if l, ok = p.TryAcquire(); !ok || !newest || l.Value() == old {
			t.Errorf("TryAcquire %v took what was idle for longest", ok)
		}
		l.Release()
	})
}

func TestClockGoesWhileThePoolIsUsedAndNobodyWakesTheKeeperForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits.MaxLifetime = 800 * time.Millisecond })
		before := p.Looks()
		for range 1000 {
			acquire(t, p).Release()
			pass(2 * time.Millisecond)
		}
		if n := p.Looks() - before; n < 160 || n > 300 {
			t.Errorf("in 2 s of use the pool was looked at %d times; the clock ticks 200 times", n)
		}
		if n := p.Stats().Closed[conn.MaxLifetime]; n < 2 || n > 3 {
			t.Errorf("in 2 s %d connections reached a lifetime of 0.8 s", n)
		}
	})
}

func TestDeathTellsWhetherSomebodyHadTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits.MaxIdleTime = time.Minute; c.Ping = nil })
		l := acquire(t, p)
		pass(10 * time.Second)
		l.Discard(errors.New("protocol out of step"))
		d := p.Deaths()[0]
		if d.Phase != "processing" || d.Idle != 0 || d.Age != 10*time.Second || d.Cause != conn.Error || d.Detail != "protocol out of step" {
			t.Errorf("a connection that was discarded in use died as %+v", d)
		}
		acquire(t, p).Release()
		pass(2 * time.Minute)
		d = p.Deaths()[0]
		if d.Phase != "idle" || d.Idle < time.Minute || d.Idle > 62*time.Second || d.Cause != conn.MaxIdle || d.Pool != "test" {
			t.Errorf("a connection that was idle for too long died as %+v", d)
		}
	})
}

func TestDeathSeenByTheGuardKeepsItsOwnStoryAndTakesTheUsersWords(t *testing.T) {
	p, far := pipes(t, 1)
	l, err := p.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = (<-far).Close()
	if _, err := l.Value().Read(make([]byte, 1)); err == nil {
		t.Fatal("reading from a closed pipe succeeded")
	}
	l.Discard(errors.New("while reading the answer"))
	seen, ok := guardOf(t, l2(t, p)).Death()
	if ok {
		t.Errorf("the next connection is dead: %v", seen)
	}
	if d := p.Deaths()[0]; d.Cause != conn.PeerFIN || !strings.Contains(d.Detail, "while reading the answer") {
		t.Errorf("it died as %+v", d)
	}
}

// l2 borrows once more, and returns with the test.
func l2(t *testing.T, p *pool.Pool[net.Conn]) pool.Lease[net.Conn] {
	t.Helper()
	l, err := p.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Release)
	return l
}

func TestFreshConnectionIsNotOldBecauseItsDialWasSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.dialTime.Store(int64(3 * time.Second))
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.MinIdle = 1 })
		pass(2 * time.Second)
		if c := p.Snapshot()[0]; c.State != conn.Dialing || c.Idle != 2*time.Second || c.Age != 2*time.Second {
			t.Errorf("while it is dialled: %+v", c)
		}
		pass(1500 * time.Millisecond)
		if c := p.Snapshot()[0]; c.State != conn.Idle || c.Idle > 500*time.Millisecond || c.Age != 3500*time.Millisecond {
			t.Errorf("half a second after its dial: %+v", c)
		}
		acquire(t, p).Release()
		if s.pings.Load() != 0 {
			t.Error("a connection that was just dialled was pinged as if it had been silent")
		}
	})
}

func TestHoldersStackIsOfTheLeaseThatHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits.LeakAfter = time.Hour })
		traced := acquire(t, p)
		if holder := p.Snapshot()[0].Holder; !strings.Contains(holder, "TestHoldersStackIsOfTheLease") {
			t.Errorf("the holder is said to be %q", holder)
		}
		if err := p.SetLimits(pool.Limits{}); err != nil {
			t.Fatal(err)
		}
		traced.Release()
		plain := acquire(t, p)
		defer plain.Release()
		if holder := p.Snapshot()[0].Holder; holder != "" {
			t.Errorf("a lease whose stack was not kept is said to be held by %q, who held the one before", holder)
		}
	})
}

func TestAnswerAfterItsTimeIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late atomic.Bool
		var dials atomic.Int64
		p, err := pool.New(pool.Config[net.Conn]{
			Dial: func(context.Context) (net.Conn, error) {
				dials.Add(1)
				near, far := net.Pipe()
				t.Cleanup(func() { _ = far.Close() })
				return guard.Wrap(near, guard.Options{}), nil
			},
			Ping: func(ctx context.Context, _ net.Conn) error {
				if late.Load() {
					<-ctx.Done()
				}
				return nil // as if it had come in time
			},
			Limits: pool.Limits{HeartbeatEvery: time.Second},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = p.Close() }()
		l2(t, p).Release()
		late.Store(true)
		pass(6 * time.Second)
		if st := p.Stats(); st.HeartbeatErrs == 0 || st.Closed[conn.Heartbeat] != 1 {
			t.Errorf("a ping that took %v was taken for an answer: %+v", pool.DefaultHeartbeatTimeout, st)
		}
	})
}

func TestEvictStaleAsksForTheIdentityWhereThereIsNoPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		name := "db1"
		s.identity.Store(&name)
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Ping = nil
			c.Identity = func(_ context.Context, f *fake) (string, error) { return *f.server.identity.Load(), nil }
		})
		fill(t, p, 3)
		if n, err := p.EvictStale(context.Background()); n != 0 || err != nil {
			t.Errorf("closed %d of the same server, %v", n, err)
		}
		other := "db2"
		s.identity.Store(&other)
		if _, err := p.EvictStale(context.Background()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if st := p.Stats(); st.Generation != 2 || st.Closed[conn.Identity] != 3 {
			t.Errorf("another server answered, and nobody was told: %+v", st)
		}
	})
}

func TestNewServerAtAnAddressMakesTheOthersAnswerOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		name := "a"
		s.identity.Store(&name)
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits.HeartbeatEvery = -1
			c.Identity = func(_ context.Context, f *fake) (string, error) {
				if f.id <= 2 {
					return "a", nil
				}
				return *f.server.identity.Load(), nil
			}
		})
		fill(t, p, 2)
		other := "b"
		s.identity.Store(&other)
		for i, step := range []struct {
			what  string
			pings int64
		}{{"the first of a new name", 2}, {"the second of the same name", 0}} {
			before := s.pings.Load()
			if err := p.SetLimits(pool.Limits{MinIdle: 3 + i, HeartbeatEvery: -1}); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
			if n := s.pings.Load() - before; n != step.pings {
				t.Errorf("%s made %d of 2 others answer, want %d", step.what, n, step.pings)
			}
		}
		if st := p.Stats(); st.Generation != 1 || st.Idle != 4 {
			t.Errorf("a second server behind the address: %+v", st)
		}
	})
}

func TestPeerThatIsGoneIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Identity = func(context.Context, *fake) (string, error) { return "a", nil }
		})
		x, y := acquire(t, p), acquire(t, p)
		x.Discard(nil)
		synctest.Wait()
		if n := p.Backends(); n != 1 {
			t.Errorf("%d addresses are known while a connection is open", n)
		}
		y.Discard(nil)
		synctest.Wait()
		if n := p.Backends(); n != 0 {
			t.Errorf("%d addresses are remembered though nothing is open", n)
		}
	})
}
