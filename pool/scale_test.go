package pool_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/pool"
)

func TestAfterABurstIdleFallsToTheBandThoughNewGoroutinesStillCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxOpen: 64, KeepWarm: 10, MaxIdleTime: 2 * time.Minute, MaxLifetime: -1}
		})
		fill(t, p, 64)
		start := time.Now()
		for time.Since(start) < 2*time.Minute {
			time.Sleep(time.Second)
			done := make(chan struct{})
			go func() { // each from a stack of its own, so that each hashes to a slot of its own
				defer close(done)
				acquire(t, p).Release()
			}()
			<-done
		}
		pass(120 * time.Millisecond) // two looks of the maintenance goroutine: one may meet a heartbeat under way
		if st := p.Stats(); st.Idle > 8 {
			t.Errorf("MaxIdleTime and two looks after a burst %d connections are idle, the band is 8", st.Idle)
		}
	})
}

func TestTenThousandIdleConnectionsCostOneGoroutineAndLittleMemory(t *testing.T) {
	const n = 10_000
	before, goroutines := heap(), runtime.NumGoroutine()
	p, err := pool.New(pool.Config[int]{
		Dial:   func(context.Context) (int, error) { return 1, nil },
		Limits: pool.Limits{MaxOpen: n, MinIdle: n, MaxDialing: 64},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.WarmUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(10 * time.Second); p.Stats().Idle < n || runtime.NumGoroutine() > goroutines+1; {
		if time.Now().After(until) {
			t.Fatalf("%d of %d are idle, and %d goroutines run more than before", p.Stats().Idle, n, runtime.NumGoroutine()-goroutines)
		}
		time.Sleep(time.Millisecond)
	}
	each := (heap() - before) / n
	t.Logf("an idle connection costs %d bytes beyond its own", each)
	if each > 1024 {
		t.Errorf("an idle connection costs %d bytes beyond its own, at most 1,024 are promised", each)
	}
	runtime.KeepAlive(p)
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
