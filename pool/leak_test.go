package pool_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// lose takes a lease and forgets it; nothing of it stays on the caller's stack.
//
//go:noinline
func lose(t *testing.T, p *pool.Pool[*fake]) {
	if _, err := p.Acquire(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// collect runs the garbage collector until the condition holds.
func collect(t *testing.T, holds func() bool) bool {
	t.Helper()
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); {
		runtime.GC()
		if holds() {
			return true
		}
		_ = sleep(context.Background(), int64(time.Millisecond))
	}
	return false
}

func TestLostLeaseIsProvedReportedAndItsPlaceGivenBack(t *testing.T) {
	seen := &log{}
	s := &fakeServer{}
	p := newPool(t, s, func(c *pool.Config[*fake]) {
		c.Observer = seen
		c.Limits = pool.Limits{MaxOpen: 1, LeakAfter: time.Hour} // every lease is watched
	})
	lose(t, p)
	if !collect(t, func() bool { return len(seen.of(pool.Leaked)) == 1 }) {
		t.Fatal("a lost lease was not reported")
	}
	told := seen.of(pool.Leaked)[0]
	if told.Held || told.Cause != conn.Leaked || !strings.Contains(told.Stack, "lose") {
		t.Errorf("the loss was reported as %+v", told)
	}
	acquire(t, p).Release() // MaxOpen is 1: the place is free again
	if st := p.Stats(); st.Closed[conn.Leaked] != 1 {
		t.Errorf("the connection of a lost lease was closed by %v", st.Closed)
	}
}

// Without LeakAfter one lease of a connection in 1,024 is watched: who loses leases all the time is found all the same.
func TestSampledLeaseIsProvedLostWithoutLeakAfter(t *testing.T) {
	p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits.MaxOpen = 1 })
	for range 1023 {
		acquire(t, p).Release()
	}
	lose(t, p)
	if !collect(t, func() bool { return p.Stats().Closed[conn.Leaked] == 1 }) {
		t.Errorf("the 1,024th lease was lost and not found: %+v", p.Stats())
	}
}

func TestHeldLeaseIsNeverTakenForLost(t *testing.T) {
	seen := &log{}
	p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
		c.Observer = seen
		c.Limits.LeakAfter = time.Hour
	})
	held := acquire(t, p)
	for range 20 {
		acquire(t, p).Release()
		runtime.GC()
	}
	if n := len(seen.of(pool.Leaked)); n != 0 {
		t.Errorf("%d leases that are held or were returned were taken for lost", n)
	}
	if held.Value() == nil {
		t.Error("a held lease lost its connection")
	}
	held.Release()
}

func TestOfManyLeasesAllLostOnesAreProvedAndNoHeldOne(t *testing.T) {
	p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits = pool.Limits{MaxOpen: 150, LeakAfter: time.Hour} })
	held := make([]pool.Lease[*fake], 50)
	for i := range held {
		held[i] = acquire(t, p)
	}
	for range 100 {
		lose(t, p)
	}
	if !collect(t, func() bool { return p.Stats().Closed[conn.Leaked] >= 100 }) {
		t.Errorf("100 leases were lost and %d were found", p.Stats().Closed[conn.Leaked])
	}
	runtime.GC()
	if st := p.Stats(); st.Closed[conn.Leaked] != 100 || st.InUse != 50 {
		t.Errorf("50 leases are held: %+v", st)
	}
	for _, l := range held {
		l.Release()
	}
}
