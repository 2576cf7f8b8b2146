package herzsql_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

var errFull = errors.New("fake: too many connections")

// fullServer is a database whose server refuses while refuse is set, and how often it was dialled.
type fullServer struct {
	db     *sql.DB
	dials  atomic.Int64
	refuse atomic.Bool
	panics atomic.Bool
}

func newFull(t *testing.T, open func(*connector) (*sql.DB, error)) *fullServer {
	t.Helper()
	f := &fullServer{}
	f.refuse.Store(true)
	addr := ""
	if !strings.HasPrefix(t.Name(), "TestBubble") {
		addr = newServer(t).listener.Addr().String()
	}
	c := newConnector(addr, &guard.Dialer{})
	real := c.dial
	c.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		f.dials.Add(1)
		if f.panics.Load() {
			panic("fake: a driver with a fault")
		}
		if f.refuse.Load() {
			return nil, errFull
		}
		return real(ctx, network, addr)
	}
	db, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	f.db = db
	return f
}

// storm lets n callers ask again and again for the given time, and gives the errors they got.
func (f *fullServer) storm(n int, lasts time.Duration) (errs []error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	end := time.Now().Add(lasts)
	for range n {
		all.Go(func() {
			for time.Now().Before(end) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				_, err := f.db.ExecContext(ctx, "add one")
				cancel()
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return errs
}

func TestBubbleFullServerIsDialledAtMostTwentyTimesASecond(t *testing.T) {
	for name, open := range map[string]func(*connector) (*sql.DB, error){
		"guarded": func(c *connector) (*sql.DB, error) {
			return herzsql.OpenConnector(c, herzsql.WithLimits(pool.Limits{MaxOpen: 16}))
		},
		"pooled": func(c *connector) (*sql.DB, error) {
			return herzsql.OpenPooledConnector(c, herzsql.WithLimits(pool.Limits{MaxOpen: 16}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFull(t, open)
				errs := f.storm(16, 4*time.Second) // more would wait in the line of database/sql, whose error has no reason
				if n := f.dials.Load(); n > 80 || n < 4 {
					t.Errorf("%d dials in 4 s, not 4 to 80", n)
				}
				t.Logf("%d dials in 4 s", f.dials.Load())
				for _, err := range errs {
					if err == nil || !strings.Contains(err.Error(), errFull.Error()) {
						t.Fatalf("a caller was told %v, which does not say why", err)
					}
				}
				if err := f.db.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestBubbleCallerWithoutADeadlineIsToldWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFull(t, func(c *connector) (*sql.DB, error) { return herzsql.OpenConnector(c) })
		for range 12 { // the pause has grown to its longest
			_, _ = f.db.Exec("add one")
		}
		began := time.Now()
		if _, err := f.db.Exec("add one"); !errors.Is(err, errFull) {
			t.Errorf("the error is %v, not the server's", err)
		}
		if took := time.Since(began); took < time.Second/2 || took > pool.DefaultHeartbeatTimeout {
			t.Errorf("told after %v, not after the pause and within the budget", took)
		}
		_ = f.db.Close()
	})
}

func TestBubbleCallerDoesNotWaitPastItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFull(t, func(c *connector) (*sql.DB, error) { return herzsql.OpenConnector(c) })
		for range 12 {
			_, _ = f.db.Exec("add one")
		}
		dials := f.dials.Load()
		var all sync.WaitGroup
		for range 2 { // one whose turn it is, and one who waits for the outcome
			all.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
				defer cancel()
				began := time.Now()
				_, err := f.db.ExecContext(ctx, "add one")
				if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errFull) {
					t.Errorf("the error is %v, not the end of the context and its reason", err)
				}
				if took := time.Since(began); took != 100*time.Millisecond {
					t.Errorf("a caller with 100 ms was told after %v", took)
				}
			})
		}
		all.Wait()
		if n := f.dials.Load(); n != dials {
			t.Errorf("%d dials in the pause", n-dials)
		}
		if _, err := f.db.Exec("add one"); !errors.Is(err, errFull) { // the turn was given back
			t.Errorf("the next caller was told %v", err)
		}
		_ = f.db.Close()
	})
}

func TestServerThatIsNoLongerFullIsUsedAtOnceByAll(t *testing.T) {
	f := newFull(t, func(c *connector) (*sql.DB, error) { return herzsql.OpenConnector(c) })
	for range 4 {
		if _, err := f.db.Exec("add one"); !errors.Is(err, errFull) {
			t.Fatalf("the error is %v, not the server's", err)
		}
	}
	f.refuse.Store(false)
	within(t, time.Second, "eight callers after the server has room", func() {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := f.db.Exec("add one"); err != nil {
					t.Errorf("refused though the server has room: %v", err)
				}
			})
		}
		all.Wait()
	})
}

func TestDialThatPanicsGivesTheTurnBack(t *testing.T) {
	f := newFull(t, func(c *connector) (*sql.DB, error) { return herzsql.OpenConnector(c) })
	if _, err := f.db.Exec("add one"); !errors.Is(err, errFull) {
		t.Fatalf("the error is %v, not the server's", err)
	}
	f.panics.Store(true)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic of the driver was swallowed")
			}
		}()
		_, _ = f.db.Exec("add one")
	}()
	f.panics.Store(false)
	f.refuse.Store(false)
	within(t, time.Second, "the next dial", func() {
		if _, err := f.db.Exec("add one"); err != nil {
			t.Errorf("after the panic: %v", err)
		}
	})
}
