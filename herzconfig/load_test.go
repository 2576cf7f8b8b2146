package herzconfig_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/herzconfig"
)

// TestReloadUnderLoadLosesNoRequest changes the file a hundred times while 32 goroutines use both modes: growing and shrinking limits, versions that are
// not valid, versions that need a restart, half-written ones, and files renamed over the old one.
func TestReloadUnderLoadLosesNoRequest(t *testing.T) {
	const workers, versions = 16, 100
	b, dsn := newBackend(t)
	b.slow.Store(int64(200 * time.Microsecond))
	path := write(t, "")
	f := new(follower)
	dbs := openAll(t, pair(dsn, "maxOpen: 8", "maxOpen: 8"), herzconfig.Config{
		Path: path, Logger: logger(new(journal)), OnReload: f.on, Settle: 2 * time.Millisecond,
	})
	ctx, stop := context.WithCancel(t.Context())
	var sent, lost atomic.Int64
	var first atomic.Pointer[error]
	var wg sync.WaitGroup
	for _, name := range dbs.Names() {
		db, err := dbs.DB(name)
		if err != nil {
			t.Fatal(err)
		}
		for range workers {
			wg.Go(func() {
				for ctx.Err() == nil {
					sent.Add(1)
					if _, err := db.ExecContext(context.Background(), "work"); err != nil {
						lost.Add(1)
						first.CompareAndSwap(nil, &err)
					}
				}
			})
		}
	}
	for n := range versions {
		most := 1 + n%12
		text := pair(dsn, fmt.Sprintf("maxOpen: %d, minIdle: %d, testOnBorrow: %v, maxUses: %d, maxLifetime: %dms, maxLifetimeJitter: off", most, n%(most+1)/2, n%3 == 0, n%7*10, 5+n%50),
			fmt.Sprintf("maxOpen: %d, maxIdleTime: %dms, maxUses: %d", 1+(n+5)%12, 1+n%40, n%5*10))
		switch n % 5 {
		case 1:
			text = "pools:\n  orders: {maxOpn: 5}\n"
		case 2:
			text = pair(dsn+"?other", "maxOpen: 1", "maxOpen: 1")
		case 3:
			text = text[:len(text)/2]
		}
		if n%2 == 0 {
			scrawl(t, path, text)
		} else {
			put(t, path, text)
		}
		time.Sleep(15 * time.Millisecond)
	}
	put(t, path, pair(dsn, "maxOpen: 3", "maxOpen: 4"))
	eventually(t, "the last version is in force", func() bool {
		return limits(t, dbs, "orders").MaxOpen == 3 && limits(t, dbs, "reports").MaxOpen == 4
	})
	stop()
	wg.Wait()
	counts := map[herzconfig.Outcome]int{}
	for _, e := range f.events() {
		counts[e.Outcome]++
	}
	t.Logf("%d requests, %d lost; versions: %v", sent.Load(), lost.Load(), counts)
	if e := first.Load(); e != nil {
		t.Errorf("%d of %d requests were lost: %v", lost.Load(), sent.Load(), *e)
	}
	if sent.Load() != b.execs.Load() {
		t.Errorf("%d requests were sent, %d executed", sent.Load(), b.execs.Load())
	}
	if counts[herzconfig.Applied] < 20 || counts[herzconfig.Invalid] < 10 || counts[herzconfig.NeedsRestart] < 10 {
		t.Errorf("the file changed too seldom for this to say anything: %v", counts)
	}
}
