package pool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

func TestLifetimesEndSpreadOutAndOnHotPoolsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := &log{}
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Observer = seen
			c.Limits = pool.Limits{MaxOpen: 20, MaxLifetime: 100 * time.Second, MaxLifetimeJitter: 50 * time.Second, HeartbeatEvery: -1, PingAfter: -1}
		})
		start := time.Now()
		fill(t, p, 20)
		for time.Since(start) < 99*time.Second {
			pass(200 * time.Millisecond)
			acquire(t, p).Release()
		}
		pass(3 * time.Second)
		ended := seen.of(pool.ConnectionClosed)
		if len(ended) < 20 {
			t.Fatalf("%d of 20 connections ended within their lifetime of 100 s", len(ended))
		}
		seconds := map[int]int{}
		for _, e := range ended[:20] {
			if e.Cause != conn.MaxLifetime || e.Duration < 50*time.Second || e.Duration > 102*time.Second {
				t.Errorf("a connection ended after %v by %v", e.Duration, e.Cause)
			}
			seconds[int(e.Duration/(5*time.Second))]++
		}
		for at, n := range seconds {
			if n > 10 {
				t.Errorf("%d of 20 connections ended in the same five seconds, at %d s: a herd", n, at*5)
			}
		}
	})
}

func TestQuietPoolSettlesAtTheElasticBand(t *testing.T) {
	for _, c := range []struct {
		name     string
		keepWarm int
		min      int
		want     int
	}{
		{"without KeepWarm nothing stays", 0, 0, 0},
		{"0.8 of KeepWarm stays", 10, 0, 8},
		{"MinIdle stays", 0, 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &fakeServer{}
				p := newPool(t, s, func(cfg *pool.Config[*fake]) {
					cfg.Limits = pool.Limits{MaxOpen: 20, KeepWarm: c.keepWarm, MinIdle: c.min, MaxIdleTime: time.Minute, MaxLifetime: -1}
				})
				fill(t, p, 20)
				pass(10 * time.Minute)
				if st := p.Stats(); st.Idle != c.want {
					t.Errorf("after ten quiet minutes %d connections are idle, want %d", st.Idle, c.want)
				}
			})
		})
	}
}

func TestIdleAboveTheBandIsTrimmedOverTimeAndNotAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 50, KeepWarm: 10, MaxIdleTime: time.Hour, MaxLifetime: -1}
		})
		fill(t, p, 50)
		if st := p.Stats(); st.Idle != 50 {
			t.Fatalf("%d idle right after the last return: something was trimmed at put", st.Idle)
		}
		last := 50
		for range 1200 {
			pass(100 * time.Millisecond)
			n := p.Stats().Idle
			if last-n > 4 { // a tenth of what is over KeepWarm
				t.Errorf("%d connections were closed together", last-n)
			}
			last = n
		}
		if last != 10 {
			t.Errorf("two minutes later %d are idle, want KeepWarm (10)", last)
		}
	})
}

func TestMinIdleIsRefilledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits = pool.Limits{MaxOpen: 10, MinIdle: 3} })
		synctest.Wait()
		if st := p.Stats(); st.Idle != 3 {
			t.Fatalf("a new pool has %d idle connections, want MinIdle (3)", st.Idle)
		}
		l := acquire(t, p)
		pass(20 * time.Millisecond)
		if st := p.Stats(); st.Idle != 3 || st.InUse != 1 {
			t.Errorf("20 ms after a loan %d are idle, want 3", st.Idle)
		}
		l.Discard(errors.New("broken"))
	})
}

func TestFailOverDoesNotDialTheWholeMinIdleAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 60, MinIdle: 50, MaxDialing: 50, ReconnectPerSecond: 10}
		})
		synctest.Wait()
		if n := s.dials.Load(); n != 50 {
			t.Fatalf("a new pool dialled %d times, want MinIdle (50) at once", n)
		}
		p.Invalidate(errors.New("fail-over"))
		pass(time.Second)
		if n := s.dials.Load() - 50; n < 8 || n > 12 {
			t.Errorf("in the second after a fail-over %d connections were dialled, want about 10", n)
		}
		began := time.Now()
		var leases []pool.Lease[*fake]
		for range 30 { // callers do not wait for the budget
			leases = append(leases, acquire(t, p))
		}
		if took := time.Since(began); took > 10*time.Millisecond {
			t.Errorf("callers waited %v for the reconnect budget", took)
		}
		for _, l := range leases {
			l.Release()
		}
		pass(6 * time.Second)
		if st := p.Stats(); st.Idle < 50 {
			t.Errorf("seven seconds after the fail-over %d of MinIdle (50) are idle", st.Idle)
		}
	})
}

func TestFailOverOfAPoolThatIsAllLentKeepsToTheBudgetWhenItComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 20, MinIdle: 20, MaxDialing: 20, ReconnectPerSecond: 10}
		})
		leases := make([]pool.Lease[*fake], 20)
		for i := range leases {
			leases[i] = acquire(t, p)
		}
		p.Invalidate(errors.New("fail-over"))
		for _, l := range leases {
			l.Release()
		}
		synctest.Wait()
		for tenth := range 20 {
			if n := s.dials.Load() - 20; n < int64(tenth-1) || n > int64(tenth+1) {
				t.Errorf("%d tenths of a second after a fail-over %d connections were dialled for nobody, at 10 a second", tenth, n)
			}
			pass(100 * time.Millisecond)
		}
		pass(100 * time.Millisecond)
		if st := p.Stats(); st.Idle != 20 || st.Dials != 40 {
			t.Errorf("when the budget has paid for all 20: %+v", st)
		}
	})
}

func TestWarmUpDialsInParallelAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.dialTime.Store(int64(time.Second))
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits = pool.Limits{MaxOpen: 10, KeepWarm: 8} })
		began := time.Now()
		if err := p.WarmUp(context.Background()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 2*time.Second || p.Stats().Idle != 8 {
			t.Errorf("8 dials of 1 s, 4 at once, took %v and left %d idle", took, p.Stats().Idle)
		}
		if n := s.mostDialing.Load(); n != 4 {
			t.Errorf("%d dials ran at once, MaxDialing is 4", n)
		}
	})
}

func TestFailedDialsBackOffAndTellThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		refused := errors.New("connection refused")
		s.dialErr.Store(failWith(refused))
		p := newPool(t, s, nil)
		_, err := p.Acquire(context.Background())
		var dial *pool.DialError
		if !errors.As(err, &dial) || !errors.Is(err, refused) {
			t.Fatalf("the caller was told %v", err)
		}
		until := time.Now().Add(20 * time.Second)
		for time.Now().Before(until) {
			_, _ = p.Acquire(context.Background())
		}
		if st := p.Stats(); st.DialErrors < 15 || st.DialErrors > 60 || st.LastDialError != refused.Error() {
			t.Errorf("in 20 s of outage %d dials were tried, want about one to two a second; last %q", st.DialErrors, st.LastDialError)
		}
		s.dialErr.Store(nil)
		began := time.Now()
		acquire(t, p).Release()
		if took := time.Since(began); took > 1010*time.Millisecond {
			t.Errorf("after the outage the first connection took %v", took)
		}
	})
}

// A server that says nothing makes every dial slow. Callers come at any time, so that dials begin at different times; none of them may wait
// for one dial after the other. Where others use connections, which may come back, a caller waits for the first dial that begins after it came.
func TestSilentServerHoldsNoCallerForDialAfterDial(t *testing.T) {
	for name, c := range map[string]struct {
		lent int
		most time.Duration
	}{"nothing is left": {0, 3200 * time.Millisecond}, "others use connections": {3, 6300 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const dialTime = 3100 * time.Millisecond
				s := &fakeServer{}
				p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.MaxOpen = 6 })
				for range c.lent {
					defer acquire(t, p).Release()
				}
				s.dialTime.Store(int64(dialTime))
				s.dialErr.Store(failWith(errors.New("i/o timeout")))
				until := time.Now().Add(12 * time.Second)
				var callers sync.WaitGroup
				for i := range 6 {
					callers.Go(func() {
						time.Sleep(time.Duration(i) * 150 * time.Millisecond)
						for time.Now().Before(until) {
							began := time.Now()
							_, err := p.Acquire(context.Background())
							var dial *pool.DialError
							if took := time.Since(began); !errors.As(err, &dial) || took > c.most {
								t.Errorf("a caller was held for %v: %v", took, err)
							}
							time.Sleep(20 * time.Millisecond)
						}
					})
				}
				callers.Wait()
			})
		})
	}
}

// A dial that failed because the server was silent says nothing to a caller who came when the server may be back.
func TestCallerWhoComesAfterASilenceIsNotToldOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.MaxOpen = 2 })
		s.dialTime.Store(int64(3 * time.Second))
		s.dialErr.Store(failWith(errors.New("i/o timeout")))
		var before sync.WaitGroup
		for range 2 {
			before.Go(func() {
				if _, err := p.Acquire(context.Background()); err == nil {
					t.Error("a silent server gave a connection")
				}
			})
		}
		pass(3*time.Second - 5*time.Millisecond)
		s.dialTime.Store(int64(20 * time.Millisecond)) // the dials under way go on to their end
		after, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		time.AfterFunc(10*time.Millisecond, func() { s.dialErr.Store(nil) })
		late := make(chan error)
		go func() {
			l, err := p.Acquire(after)
			if err == nil {
				l.Release()
			}
			late <- err
		}()
		if err := <-late; err != nil {
			t.Errorf("5 ms before the end of a silence: %v", err)
		}
		before.Wait()
	})
}

func TestRefusedDialIsNobodysBusinessWhileOthersMayReturnTheirConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.MaxOpen = 2 })
		held := acquire(t, p)
		s.dialErr.Store(failWith(errors.New("too many connections")))
		time.AfterFunc(5*time.Second, held.Release)
		l, err := p.Acquire(context.Background())
		if err != nil {
			t.Fatalf("a caller in line was told of a dial that the full server refused: %v", err)
		}
		l.Release()
	})
}

func TestCancelledCallerDoesNotWasteItsDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.dialTime.Store(int64(time.Second))
		p := newPool(t, s, nil)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if _, err := p.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Acquire: %v", err)
		}
		pass(time.Second)
		if st := p.Stats(); st.Idle != 1 || s.dials.Load() != 1 {
			t.Errorf("the dial of a caller who went away left %+v", st)
		}
	})
}

func TestDialThatHangsGivesItsPlaceBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang atomic.Bool
		hang.Store(true)
		release := make(chan struct{})
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits.MaxOpen = 1
			c.Dial = func(ctx context.Context) (*fake, error) {
				if hang.Load() {
					<-release // it does not heed its context
				}
				return s.dial(context.WithoutCancel(ctx))
			}
		})
		began := time.Now()
		_, err := p.Acquire(context.Background())
		if took := time.Since(began); err == nil || took > 3400*time.Millisecond {
			t.Errorf("a hanging dial held its caller for %v: %v", took, err)
		}
		hang.Store(false)
		acquire(t, p).Release()
		close(release)
		synctest.Wait()
		if st := p.Stats(); st.Open != 1 || s.open.Load() != 1 {
			t.Errorf("the late connection of the hanging dial was kept: %d open, pool %+v", s.open.Load(), st)
		}
	})
}

func TestInvalidateEndsIdleAtOnceLentAtReturnAndDialsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, nil)
		lent := acquire(t, p)
		acquire(t, p).Release()
		s.dialTime.Store(int64(time.Second))
		held := acquire(t, p)
		late := make(chan int64, 1)
		go func() {
			l := acquire(t, p)
			late <- l.Value().id
			l.Release()
		}()
		synctest.Wait()
		p.Invalidate(errors.New("fail-over"))
		s.dialTime.Store(0)
		if lent.Value() == nil || lent.Value().closed.Load() {
			t.Error("a lent connection was closed in its user's hands")
		}
		lent.Release()
		held.Release()
		if id := <-late; id < 3 {
			t.Errorf("connection %d of the old generation was lent", id)
		}
		synctest.Wait()
		if st := p.Stats(); st.Closed[conn.Generation] < 3 || st.Generation != 2 {
			t.Errorf("after Invalidate: %+v", st)
		}
	})
}

func TestRecordSaysWhatAnInvalidationWasFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, nil)
		lent := acquire(t, p)
		acquire(t, p).Release()
		p.Invalidate(fmt.Errorf("a replica: %w", &pool.IdentityError{Before: "db1", After: "db2"}))
		l := p.Limits()
		l.MaxOpen++
		if err := p.SetLimits(l); err != nil { // which changes nothing about it
			t.Fatal(err)
		}
		lent.Release()
		synctest.Wait()
		if st := p.Stats(); st.Closed[conn.Identity] != 2 || st.Closed[conn.Generation] != 0 {
			t.Errorf("another server answers: closed %v, want both for the identity", st.Closed)
		}
	})
}

func TestLowerMaxOpenClosesIdleAtOnceAndLentAtReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := &log{}
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Observer = seen })
		var leases []pool.Lease[*fake]
		for range 10 {
			leases = append(leases, acquire(t, p))
		}
		for _, l := range leases[:4] {
			l.Release()
		}
		l := p.Limits()
		l.MaxOpen = 3
		if err := p.SetLimits(l); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := p.Stats(); st.Idle != 0 || st.InUse != 6 {
			t.Errorf("after MaxOpen 10 → 3: %+v", st)
		}
		for _, l := range leases[4:] {
			l.Release()
		}
		synctest.Wait()
		if st := p.Stats(); st.Open != 3 || st.Closed[conn.Shrunk] != 7 {
			t.Errorf("after all returns: %+v", st)
		}
		if told := seen.of(pool.LimitsChanged); len(told) != 1 || told[0].Limits.Before.MaxOpen != 10 || told[0].Limits.After.MaxOpen != 3 {
			t.Errorf("the change was reported as %+v", told)
		}
		l.MinIdle = 4
		if err := p.SetLimits(l); err == nil || !strings.Contains(err.Error(), "MinIdle is 4") || p.Limits().MinIdle != 0 {
			t.Errorf("impossible limits gave %v and left %+v in force", err, p.Limits())
		}
	})
}

func TestMaxUsesEndsAConnection(t *testing.T) {
	told := &log{}
	p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits.MaxOpen, c.Limits.MaxUses, c.Observer = 1, 3, told })
	for range 6 {
		acquire(t, p).Release()
	}
	for _, e := range told.of(pool.ConnectionClosed) {
		if e.Uses != 3 {
			t.Errorf("a connection that was lent three times ended with %d uses", e.Uses)
		}
	}
	if st := p.Stats(); st.Dials != 2 || st.Closed[conn.MaxUses] != 2 {
		t.Errorf("six loans of connections for three each: %+v", st)
	}
}

func TestClosingConnectionFreesItsPlaceAndClosesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.closeTime.Store(int64(time.Minute)) // no close ends in time
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits = pool.Limits{MaxOpen: 2, MaxClosing: 3} })
		began := time.Now()
		for range 3 {
			acquire(t, p).Discard(errors.New("broken"))
		}
		acquire(t, p).Release()
		if took := time.Since(began); took > time.Millisecond {
			t.Errorf("slow closes held up a borrower for %v", took)
		}
		if n := s.open.Load(); n > 2+3 {
			t.Errorf("%d sockets are open, at most MaxOpen + MaxClosing (5) may be", n)
		}
		pass(4 * time.Second)
		if st := p.Stats(); st.Closing != 0 {
			t.Errorf("after 4 s %d closes are still counted", st.Closing)
		}
		s.closeTime.Store(0)
		pass(time.Minute)
	})
}

func TestDrainWaitsForUsersAndNamesThemWhenTheyStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.LeakAfter = time.Hour })
		l, err := p.Acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		acquire(t, p).Release()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = p.Drain(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "TestDrainWaits") {
			t.Errorf("Drain over a held lease: %v", err)
		}
		if _, err := p.Acquire(context.Background()); !errors.Is(err, pool.ErrClosed) {
			t.Errorf("Acquire from a draining pool: %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- p.Drain(context.Background()) }()
		synctest.Wait()
		l.Release()
		if err := <-done; err != nil || s.open.Load() != 0 {
			t.Errorf("Drain after the last return: %v, %d open", err, s.open.Load())
		}
	})
}

func TestCloseWaitsForNobodyAndLeaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.MaxOpen = 2 })
		l := acquire(t, p)
		acquire(t, p).Release()
		waiting := make(chan error, 2)
		held := acquire(t, p)
		go func() {
			_, err := p.Acquire(context.Background())
			waiting <- err
		}()
		synctest.Wait()
		began := time.Now()
		if err := p.Close(); err != nil || time.Since(began) > 250*time.Millisecond {
			t.Errorf("Close: %v after %v", err, time.Since(began))
		}
		if err := <-waiting; !errors.Is(err, pool.ErrClosed) {
			t.Errorf("a waiter was told %v", err)
		}
		held.Release()
		l.Release()
		synctest.Wait()
		if n := s.open.Load(); n != 0 {
			t.Errorf("%d connections stay open after Close and the last return", n)
		}
		if st := p.Stats(); st.Closed[conn.Drained] != 2 {
			t.Errorf("closed by %v", st.Closed)
		}
	})
}

func TestLongHeldLeaseIsReportedOnceWithItsStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := &log{}
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Observer, c.Limits.LeakAfter = seen, 10*time.Second })
		l := acquire(t, p)
		pass(time.Minute)
		told := seen.of(pool.Leaked)
		if len(told) != 1 || !told[0].Held || told[0].Duration < 10*time.Second || told[0].Duration > 12*time.Second ||
			!strings.Contains(told[0].Stack, "TestLongHeldLease") {
			t.Errorf("a lease held for a minute, LeakAfter 10 s: %+v", told)
		}
		l.Release()
	})
}

func TestEventsTellAWholeLifeInOrder(t *testing.T) {
	seen := &log{}
	p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Observer = seen })
	l := acquire(t, p)
	l.Discard(errors.New("broken"))
	if err := p.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	const life = "connection_created connection_ready checked_out checked_in connection_closed "
	if got := seen.kinds(l.Info().Conn); got != life {
		t.Errorf("one connection's events are %q, want %q", got, life)
	}
	const all = "pool_created pool_ready check_out_started " + life + "pool_closed "
	if got := seen.kinds(0); got != all {
		t.Errorf("the pool's events are %q, want %q", got, all)
	}
	if d := seen.of(pool.ConnectionClosed)[0].Death; d == nil || d.Pool != "test" || d.Cause != conn.Error || d.Detail != "broken" {
		t.Errorf("the death was recorded as %+v", d)
	}
	if d := p.Deaths(); len(d) != 1 || d[0].Cause != conn.Error {
		t.Errorf("Deaths() is %+v", d)
	}
}
