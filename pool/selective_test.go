package pool_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/pool"
)

// modest is an observer that may do without the events of loans.
type modest struct {
	log
	wants bool
}

func (m *modest) WantsLoans() bool { return m.wants }

var loans = []pool.EventKind{pool.CheckOutStarted, pool.CheckedOut, pool.CheckOutFailed, pool.CheckedIn}

func TestObserverWithoutInterestInLoansIsToldOfEverythingElse(t *testing.T) {
	for _, wants := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			seen := &modest{wants: wants}
			p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Observer, c.Limits.MaxOpen = seen, 1 })
			l := acquire(t, p)
			short, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := p.Acquire(short); err == nil {
				t.Fatal("a pool of one lent two")
			}
			l.Release()
			l.Release() // a misuse
			acquire(t, p).Discard(errors.New("enough"))
			pass(time.Second)
			if err := p.SetLimits(pool.Limits{MaxOpen: 2}); err != nil {
				t.Fatal(err)
			}
			for _, kind := range loans {
				if got := len(seen.of(kind)); (got > 0) != wants {
					t.Errorf("wants %v: %d events %v", wants, got, kind)
				}
			}
			for _, kind := range []pool.EventKind{
				pool.PoolCreated, pool.PoolReady, pool.ConnectionCreated, pool.ConnectionReady, pool.ConnectionClosed, pool.Misused, pool.LimitsChanged,
			} {
				if len(seen.of(kind)) == 0 {
					t.Errorf("wants %v: no event %v", wants, kind)
				}
			}
		})
	}
}
