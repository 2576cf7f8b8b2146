package pool_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/pool"
)

// TestTestOnBorrowPingsBeforeEveryLoan counts in real time, in which the coarse clock of the pool lags behind: what was pinged a moment ago looked to
// be pinged in the future. Callers who wait are handed what others return; that is a loan too.
func TestTestOnBorrowPingsBeforeEveryLoan(t *testing.T) {
	for name, callers := range map[string]int{"one caller": 1, "callers who wait": 8} {
		for _, observed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, observed %v", name, observed), func(t *testing.T) {
				s := &fakeServer{}
				p := newPool(t, s, func(c *pool.Config[*fake]) {
					c.Ping = s.ping
					c.Limits.MaxOpen, c.Limits.TestOnBorrow = 2, true
					if observed {
						c.Observer = ignore{}
					}
				})
				var seen sync.Map // the pings of a connection at its newest loan
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for range 100 {
							l, err := p.Acquire(context.Background())
							if err != nil {
								t.Error(err)
								return
							}
							f := l.Value()
							pings := f.pings.Load()
							if before, again := seen.Swap(f, pings); again && pings == before.(int64) {
								t.Errorf("a connection was lent without a ping, after %d", pings)
							}
							l.Release()
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

// ignore is an observer that does nothing.
type ignore struct{}

func (ignore) Observe(pool.Event) {}

func TestTryAcquireUnderTestOnBorrowLendsWhatWasJustPinged(t *testing.T) {
	s := &fakeServer{}
	p := newPool(t, s, func(c *pool.Config[*fake]) {
		c.Ping = s.ping
		c.Limits.MaxOpen, c.Limits.TestOnBorrow = 1, true
	})
	for range 5 {
		for deadline := time.Now().Add(5 * time.Second); ; {
			l, ok := p.TryAcquire()
			if ok {
				l.Release()
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("nothing was lent in 5 s")
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func TestReturnUnderTestOnBorrowServesWhoWaitsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits.MaxOpen, c.Limits.TestOnBorrow = 1, true })
		held := acquire(t, p)
		served := make(chan time.Time)
		go func() {
			l := acquire(t, p)
			served <- time.Now()
			l.Release()
		}()
		pass(25 * time.Millisecond) // between two ticks
		returned := time.Now()
		held.Release()
		if took := (<-served).Sub(returned); took != 0 {
			t.Errorf("a ping takes no time here, and who waited was served after %v", took)
		}
	})
}

func TestConnectionThatHasToGoIsNotResetBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resets := 0
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Reset = func(context.Context, *fake) error { resets++; return nil }
			c.Limits.MaxUses = 2
		})
		for range 2 {
			acquire(t, p).Release()
			synctest.Wait()
		}
		if st := p.Stats(); resets != 1 || st.Open != 0 {
			t.Errorf("a connection for two loans was reset %d times, and %d are open", resets, st.Open)
		}
	})
}

// A heartbeat proves that a connection lives, for a moment. It is no ping before a loan that comes later.
func TestTestOnBorrowDoesNotTakeAnOldHeartbeatForAPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 1, TestOnBorrow: true, HeartbeatEvery: 10 * time.Second}
		})
		l := acquire(t, p)
		f := l.Value()
		l.Release()
		for before := f.pings.Load(); f.pings.Load() == before; {
			pass(time.Second)
		}
		pass(time.Second)
		beaten := f.pings.Load()
		acquire(t, p).Release()
		if f.pings.Load() == beaten {
			t.Error("the heartbeat of a second ago was taken for the ping before a loan")
		}
	})
}
