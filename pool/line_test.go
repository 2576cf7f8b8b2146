package pool_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/pool"
)

func oneConnection(c *pool.Config[*fake]) { c.Limits.MaxOpen = 1 }

func TestWaitersAreServedInTheOrderTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, oneConnection)
		held := acquire(t, p)
		var mu sync.Mutex // guards order
		var order []int
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				l := acquire(t, p)
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				l.Release()
			})
			synctest.Wait() // i waits in line before i+1 comes
		}
		held.Release()
		wg.Wait()
		if !slices.IsSorted(order) {
			t.Errorf("waiters were served in the order %v", order)
		}
	})
}

func TestNewcomerDoesNotPassThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, oneConnection)
		held := acquire(t, p)
		var served atomic.Bool
		go func() {
			l := acquire(t, p)
			served.Store(true)
			time.Sleep(time.Second)
			l.Release()
		}()
		synctest.Wait()
		held.Release()
		if l, ok := p.TryAcquire(); ok {
			l.Release()
			t.Error("TryAcquire took the connection that was promised to a waiter")
		}
		synctest.Wait()
		if !served.Load() {
			t.Error("the waiter was not served")
		}
		l := acquire(t, p)
		l.Release()
	})
}

func TestCancelledWaiterLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, oneConnection)
		held := acquire(t, p)
		ctx, cancel := context.WithCancel(context.Background())
		got := make(chan error, 1)
		go func() {
			_, err := p.Acquire(ctx)
			got <- err
		}()
		synctest.Wait()
		if n := p.Stats().Waiting; n != 1 {
			t.Fatalf("%d callers wait, want 1", n)
		}
		cancel()
		err := <-got
		if !errors.Is(err, context.Canceled) || !errors.Is(err, pool.ErrExhausted) {
			t.Errorf("a cancelled wait ended with %v", err)
		}
		s := p.Stats()
		if s.Waiting != 0 || s.WaitCancels != 1 {
			t.Errorf("after the cancellation %d wait and %d were cancelled, want 0 and 1", s.Waiting, s.WaitCancels)
		}
		held.Release()
		acquire(t, p).Release()
	})
}

func TestConnectionIsNeverGrantedToAnExpiredContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, oneConnection)
		for range 100 {
			held := acquire(t, p)
			ctx, cancel := context.WithCancel(context.Background())
			got := make(chan error, 1)
			go func() {
				_, err := p.Acquire(ctx)
				got <- err
			}()
			synctest.Wait()
			cancel()
			held.Release()
			if err := <-got; err == nil {
				t.Fatal("a caller whose context had ended got a connection")
			}
		}
		if s := p.Stats(); s.Idle != 1 || s.InUse != 0 {
			t.Errorf("after all cancellations the pool counts %+v", s)
		}
	})
}

func TestExhaustedErrorNamesHoldersAndHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Limits.MaxOpen = 1
			c.Limits.AcquireTimeout = 3 * time.Second
			c.Limits.LeakAfter = time.Hour // keeps every holder's stack
		})
		held := acquire(t, p)
		defer held.Release()
		began := time.Now()
		_, err := p.Acquire(context.Background())
		if took := time.Since(began); took < 3*time.Second || took > 3100*time.Millisecond {
			t.Errorf("AcquireTimeout is 3 s and the wait took %v", took)
		}
		var full *pool.ExhaustedError
		if !errors.As(err, &full) || !errors.Is(err, context.DeadlineExceeded) || !full.Timeout() {
			t.Fatalf("Acquire ended with %v", err)
		}
		if len(full.Holders) != 1 || full.Holders[0].Held < 3*time.Second || !strings.Contains(full.Holders[0].Stack, "TestExhaustedErrorNamesHolders") {
			t.Errorf("the error names the holders %+v", full.Holders)
		}
		for _, word := range []string{`"test"`, "1 of 1 connections in use", "held #", "raise MaxOpen"} {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q is missing in %q", word, err)
			}
		}
	})
}

func TestMaxWaitersTurnsAwayAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits.MaxOpen, c.Limits.MaxWaiters = 1, 1 })
		held := acquire(t, p)
		go func() { acquire(t, p).Release() }()
		synctest.Wait()
		began := time.Now()
		_, err := p.Acquire(context.Background())
		if !errors.Is(err, pool.ErrExhausted) || time.Since(began) != 0 {
			t.Errorf("the second waiter got %v after %v", err, time.Since(began))
		}
		if s := p.Stats(); s.WaitRefused != 1 {
			t.Errorf("%d callers were counted as refused, want 1", s.WaitRefused)
		}
		held.Release()
	})
}

func TestReleaseTwiceAndUseAfterReleaseAreHarmless(t *testing.T) {
	seen := &log{}
	p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits.MaxOpen, c.Observer = 1, seen })
	first := acquire(t, p)
	first.Release()
	second := acquire(t, p)
	first.Release()
	first.Discard(nil)
	if v := first.Value(); v != nil {
		t.Error("an ended lease still gives the connection, which has another user now")
	}
	if second.Value() == nil || second.Err() != nil {
		t.Errorf("the second lease was harmed by the first: %v", second.Err())
	}
	if err := first.Err(); !errors.Is(err, pool.ErrMisuse) {
		t.Errorf("an ended lease says %v", err)
	}
	if s := p.Stats(); s.Misuses != 3 || s.InUse != 1 {
		t.Errorf("%d misuses and %d in use, want 3 and 1", s.Misuses, s.InUse)
	}
	told := seen.of(pool.Misused)
	if len(told) != 3 || !strings.Contains(told[0].Stack, "TestReleaseTwice") {
		t.Errorf("the observer was told %+v", told)
	}
	second.Release()
}

func TestZeroLeaseSaysSo(t *testing.T) {
	var l pool.Lease[*fake]
	l.Release()
	l.Discard(nil)
	if l.Value() != nil || l.Info() != (pool.LeaseInfo{}) {
		t.Error("the zero lease has a connection")
	}
	if err := l.Err(); !errors.Is(err, pool.ErrMisuse) || !strings.Contains(err.Error(), "zero Lease") {
		t.Errorf("the zero lease says %v", err)
	}
}

func TestAcquireAndReleaseDoNotAllocate(t *testing.T) {
	p := newPool(t, &fakeServer{}, nil)
	ctx := context.Background()
	acquire(t, p).Release()
	allocs := testing.AllocsPerRun(5000, func() {
		l, err := p.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if l.Value() == nil {
			t.Fatal("no value")
		}
		l.Release()
	})
	if allocs != 0 {
		t.Errorf("an acquire and a release make %v allocations", allocs)
	}
}

func TestTryAcquireNeverWaitsAndMakesTheNextTrySucceed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, nil)
		if _, ok := p.TryAcquire(); ok {
			t.Fatal("an empty pool lent a connection without a wait")
		}
		synctest.Wait()
		l, ok := p.TryAcquire()
		if !ok {
			t.Fatal("the dial that the first try began did not serve the second")
		}
		l.Release()
	})
}

func TestAcquireAfterCloseSaysClosed(t *testing.T) {
	p := newPool(t, &fakeServer{}, nil)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Acquire(context.Background()); !errors.Is(err, pool.ErrClosed) {
		t.Errorf("Acquire after Close: %v", err)
	}
	if err := p.SetLimits(pool.Limits{}); !errors.Is(err, pool.ErrClosed) {
		t.Errorf("SetLimits after Close: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}
