package pool_test

import (
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/pool"
)

func TestWaitsAreCountedByTheirLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Limits = pool.Limits{MaxOpen: 1} })
		held := acquire(t, p)
		want := [13]uint64{}
		bounds := pool.WaitBounds()
		if len(bounds) != len(want)-1 {
			t.Fatalf("%d bounds for %d counts", len(bounds), len(want))
		}
		for i, d := range append(bounds, 20*time.Second) {
			for _, wait := range []time.Duration{d, d + 1} { // the second belongs to the next, but for the longest
				got := make(chan pool.Lease[*fake])
				go func() { got <- acquire(t, p) }()
				synctest.Wait()
				time.Sleep(wait)
				held.Release()
				held = <-got
			}
			want[i]++
			want[min(i+1, len(want)-1)]++
		}
		held.Release()
		st := p.Stats()
		if st.WaitCounts[0] -= st.Waits - 26; st.WaitCounts != want { // the first of all waited for its dial, for no time
			t.Errorf("counted %v of %d waits, want %v", st.WaitCounts, st.Waits, want)
		}
	})
}
