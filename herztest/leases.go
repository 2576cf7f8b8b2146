package herztest

import (
	"testing"
	"time"

	"herz.example/herz/pool"
)

// Pool is the part of [pool.Pool] that is needed here.
type Pool interface {
	Name() string
	Stats() pool.Stats
	Snapshot() []pool.ConnInfo
	Limits() pool.Limits
	SetLimits(l pool.Limits) error
}

// patience is how long a lease may stay out after the test's end: a request that is ending returns it a moment later.
const patience = time.Second

// VerifyNoLeases makes the test fail when leases of p are still out at its end, and says where each was taken. To know that, it sets
// Limits.LeakAfter to an hour when it is off, from when on every lease keeps its stack. Call it after the pool was made, and before
// cleanups that close the pool are registered: cleanups run last come first.
//
// Any number of pools may be verified in one test.
func VerifyNoLeases(t testing.TB, p Pool) {
	t.Helper()
	l := p.Limits()
	if l.LeakAfter == 0 {
		l.LeakAfter = time.Hour
		if err := p.SetLimits(l); err != nil {
			t.Fatalf("herztest: keep the stacks of leases of pool %q: %v", p.Name(), err)
		}
	}
	t.Cleanup(func() {
		t.Helper()
		for until := time.Now().Add(patience); p.Stats().Leases > 0 && time.Now().Before(until); {
			time.Sleep(time.Millisecond)
		}
		for _, c := range p.Snapshot() {
			if c.Leases > 0 {
				t.Errorf("herztest: %d leases of connection #%d of pool %q are still out, the newest for %v, taken at\n%s",
					c.Leases, c.ID, p.Name(), c.Held.Round(time.Millisecond), orUnknown(c.Holder))
			}
		}
	})
}

func orUnknown(stack string) string {
	if stack == "" {
		return "(a place that is not known: the lease was taken before VerifyNoLeases was called)"
	}
	return stack
}
