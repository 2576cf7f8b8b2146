package pool_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"herz.example/herz/pool"
)

// without runs f while the pool's lock is taken, at a moment at which n connections are offered, and fails when f needs the lock.
func without[T any](t *testing.T, p *pool.Pool[T], n int, prepare, f func()) {
	t.Helper()
	for range 1000 { // a tick may sweep the offers away before the lock is taken
		prepare()
		done := make(chan struct{})
		ran, late := false, false
		p.Locked(func() {
			if ran = p.Offered() == n; !ran {
				return
			}
			go func() { defer close(done); f() }()
			patience := time.NewTimer(5 * time.Second)
			defer patience.Stop()
			select {
			case <-done:
			case <-patience.C:
				late = true
			}
		})
		if late {
			<-done
			t.Fatal("a loan or a return without contention waited for the pool's lock")
		}
		if ran {
			return
		}
	}
	t.Fatalf("%d connections were never offered at the same time", n)
}

func processors(t *testing.T, n int) {
	t.Helper()
	before := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func TestLoanAndReturnWithoutContentionTakeNoLock(t *testing.T) {
	processors(t, 2)
	p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits.MaxOpen = 1 })
	held := acquire(t, p)
	line := make(chan struct{}, 3)
	for range 3 { // a line that was there and is gone leaves no trace
		go func() {
			acquire(t, p).Release()
			line <- struct{}{}
		}()
	}
	for p.Stats().Waiting != 3 {
		runtime.Gosched()
	}
	held.Release()
	for range 3 {
		<-line
	}
	without(t, p, 1, func() { acquire(t, p).Release() }, func() {
		for range 100 {
			l := acquire(t, p)
			if l.Value() == nil || l.Err() != nil {
				t.Error("a loan without lock is no loan")
			}
			l.Release()
			if l.Err() == nil {
				t.Error("a return without lock is no return")
			}
		}
	})
	if st := p.Stats(); st.Dials != 1 || st.Idle != 1 || st.Misuses != 0 {
		t.Errorf("afterwards: %+v", st)
	}
}

func TestGuardedConnectionIsLentAndReturnedWithoutLock(t *testing.T) {
	p, _ := pipes(t, 2)
	without(t, p, 1, func() { l2(t, p).Release() }, func() {
		for range 100 {
			l, err := p.Acquire(t.Context())
			if err != nil {
				t.Errorf("acquire: %v", err)
				return
			}
			l.Release()
		}
	})
}

func TestEndedContextGetsNothingThoughSomethingIsOffered(t *testing.T) {
	p := newPool(t, &fakeServer{}, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	without(t, p, 1, func() { acquire(t, p).Release() }, func() {})
	for range 100 {
		acquire(t, p).Release()
		if _, err := p.Acquire(ended); !errors.Is(err, context.Canceled) {
			t.Fatalf("a context that had ended got %v", err)
		}
	}
}

func TestTwoReturnsAtTheSameTimeAreOneReturnAndOneMisuse(t *testing.T) {
	processors(t, 4)
	p := newPool(t, &fakeServer{}, nil)
	const rounds = 5000
	for range rounds {
		l := acquire(t, p)
		var both sync.WaitGroup
		for range 2 {
			both.Go(l.Release)
		}
		both.Wait()
	}
	if st := p.Stats(); st.Misuses != rounds || st.InUse != 0 || st.Idle != 1 {
		t.Errorf("%d leases were returned twice at once: %+v", rounds, st)
	}
}

func TestTwoUsersSideBySideTakeNoLock(t *testing.T) {
	processors(t, 2)
	p := newPool(t, &fakeServer{}, nil)
	var a, b pool.Lease[*fake]
	prepare := func() {
		a, b = acquire(t, p), acquire(t, p)
		a.Release()
		b.Release()
	}
	without(t, p, 2, prepare, func() {
		for range 100 {
			a = acquire(t, p)
			b = acquire(t, p)
			if a.Value() == b.Value() {
				t.Error("two users have the same connection")
			}
			b.Release()
			a.Release()
		}
	})
}

func TestConnectionFromTheListTakesTheSlotOfOneThatIsLent(t *testing.T) {
	processors(t, 1)
	p := newPool(t, &fakeServer{}, nil)
	var slow, quick pool.Lease[*fake]
	prepare := func() {
		slow.Release()
		slow = acquire(t, p)
		slow.Release()
		slow, quick = acquire(t, p), acquire(t, p) // the one slot points to slow, and quick came from elsewhere
		quick.Release()
	}
	without(t, p, 1, prepare, func() {
		for range 100 {
			quick = acquire(t, p)
			quick.Release()
		}
	})
	slow.Release()
	if st := p.Stats(); st.Idle != 2 || st.InUse != 0 {
		t.Errorf("one of the two was lost: %+v", st)
	}
	x, y := acquire(t, p), acquire(t, p)
	if x.Value() == y.Value() || p.Stats().Dials != 2 {
		t.Error("the one that lost its slot is not found any more")
	}
	x.Release()
	y.Release()
}

func TestNothingThatIsOfferedIsLostUnderLoad(t *testing.T) {
	processors(t, 4)
	s := &fakeServer{}
	p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.MaxOpen = 3 })
	for range 20 {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for range 2000 {
					l := acquire(t, p)
					if n := l.Value().owner.Add(1); n != 1 {
						t.Errorf("a connection has %d users", n)
					}
					l.Value().owner.Add(-1)
					l.Release()
				}
			})
		}
		wg.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		var all []pool.Lease[*fake]
		for range 3 {
			l, err := p.Acquire(ctx)
			if err != nil {
				t.Fatalf("after all were returned only %d of 3 can be had: %v", len(all), err)
			}
			all = append(all, l)
		}
		cancel()
		for _, l := range all {
			l.Release()
		}
	}
	if st := p.Stats(); st.Misuses != 0 || s.dials.Load() > 3 {
		t.Errorf("%d dials, %+v", s.dials.Load(), st)
	}
}

func TestOperatorsMayDoEverythingUnderLoad(t *testing.T) {
	s := &fakeServer{}
	p := newPool(t, s, func(c *pool.Config[*fake]) {
		c.Limits.MaxOpen = 4
		c.Identity = func(_ context.Context, f *fake) (string, error) { return []string{"db1", "db2", "db3"}[f.id%3], nil }
	})
	stop := make(chan struct{})
	var users, operators sync.WaitGroup
	for range 6 {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				l := acquire(t, p)
				if n := l.Value().owner.Add(1); n != 1 {
					t.Errorf("a connection has %d users", n)
				}
				l.Value().owner.Add(-1)
				l.Release()
			}
		})
	}
	ctx := context.Background()
	for _, do := range []func(i int){
		func(int) { _, _ = p.EvictStale(ctx) },
		func(int) { p.Invalidate(errors.New("by hand")) },
		func(i int) { _ = p.SetLimits(pool.Limits{MaxOpen: 2 + i%4, MinIdle: i % 3, KeepWarm: i % 2}) },
		func(int) { _ = p.WarmUp(ctx) },
		func(int) { p.Stats(); p.Snapshot(); p.Deaths(); p.Limits() },
		func(int) {
			if l, ok := p.TryAcquire(); ok {
				l.Discard(nil)
			}
		},
	} {
		operators.Go(func() {
			for i := range 100 {
				do(i)
			}
		})
	}
	operators.Wait()
	close(stop)
	users.Wait()
	if err := p.SetLimits(pool.Limits{MaxOpen: 6}); err != nil {
		t.Fatal(err)
	}
	checkSums(t, p.Stats(), 6)
	drained(t, p)
}
