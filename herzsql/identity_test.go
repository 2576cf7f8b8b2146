package herzsql_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// atSite runs a test in both modes, in virtual time.
func atSite(t *testing.T, test func(t *testing.T, pooled bool)) {
	for _, pooled := range []bool{false, true} {
		name := "guarded"
		if pooled {
			name = "pooled"
		}
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test(t, pooled) }) })
	}
}

// hold has n connections in use at the same time, and gives them back.
func hold(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	var all []*sql.Conn
	for range n {
		c, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for _, c := range all {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// write writes every interval from several goroutines for a time and gives the errors.
func write(db *sql.DB, goroutines int, every, d time.Duration) (errs []error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(every) {
				if _, err := db.Exec("write"); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return errs
}

func TestWritesSucceedWithinTwoSecondsAfterAServerWasDemotedInItsPlace(t *testing.T) {
	atSite(t, func(t *testing.T, pooled bool) {
		a, b := &backend{name: "a"}, &backend{name: "b"}
		s := newSite(always(a))
		db := s.open(t, pooled, herzsql.WithLimits(pool.Limits{MaxOpen: 8}))
		hold(t, db, 8)
		if errs := write(db, 8, 20*time.Millisecond, 3*time.Second); len(errs) > 0 {
			t.Fatalf("before: %v", errs[0])
		}
		a.readonly.Store(true)
		s.lead(always(b))
		write(db, 8, 20*time.Millisecond, 2*time.Second)
		if errs := write(db, 8, 20*time.Millisecond, 5*time.Second); len(errs) > 0 {
			t.Errorf("2 s after the demotion still %d errors: %v", len(errs), errs[0])
		}
		hold(t, db, 8) // database/sql finds the last of the old ones only when it wants to lend it
		if b.writes.Load() == 0 {
			t.Error("nothing was written to the new primary")
		}
		if n := closed(db, conn.Identity) + closed(db, conn.Generation); n < 8 {
			t.Errorf("%d connections to the old primary were given up, want 8", n)
		}
	})
}

func TestServersBehindOneAddressCauseNoReconnects(t *testing.T) {
	atSite(t, func(t *testing.T, pooled bool) {
		three := []*backend{{name: "a"}, {name: "b"}, {name: "c"}}
		turn := 0
		s := newSite(func() *backend { turn++; return three[turn%3] })
		db := s.open(t, pooled, herzsql.WithLimits(pool.Limits{MaxOpen: 9}))
		hold(t, db, 9)
		for range 60 { // ten minutes, busy and quiet by turns
			if errs := write(db, 6, 50*time.Millisecond, 5*time.Second); len(errs) > 0 {
				t.Fatal(errs[0])
			}
			time.Sleep(5 * time.Second)
		}
		if n := s.clears.Load(); n != 0 {
			t.Errorf("connections were given up %d times, want never", n)
		}
		if n := closed(db, conn.Identity) + closed(db, conn.Generation); n != 0 {
			t.Errorf("%d connections were closed for what their servers are", n)
		}
	})
}

func TestConnectionThatLeadsToAnotherServerIsNotLent(t *testing.T) {
	atSite(t, func(t *testing.T, pooled bool) {
		a := &backend{name: "a"}
		s := newSite(always(a))
		db := s.open(t, pooled, herzsql.WithLimits(pool.Limits{MaxOpen: 4}))
		hold(t, db, 4)
		a.name = "z" // a proxy switched what its flows lead to
		time.Sleep(1500 * time.Millisecond)
		if errs := write(db, 4, 20*time.Millisecond, time.Second); len(errs) > 0 {
			t.Fatalf("an error for a caller: %v", errs[0])
		}
		hold(t, db, 4) // database/sql finds the last of them only when it wants to lend it
		if s.clears.Load() != 1 {
			t.Errorf("connections were given up %d times, want once", s.clears.Load())
		}
		if n := closed(db, conn.Identity) + closed(db, conn.Generation); n != 4 {
			t.Errorf("%d connections were closed for it, want 4", n)
		}
	})
}

func TestReadOnlyTransactionOfTheApplicationClosesNothing(t *testing.T) {
	atSite(t, func(t *testing.T, pooled bool) {
		a := &backend{name: "a"}
		a.fussy.Store(true)
		s := newSite(always(a))
		db := s.open(t, pooled, herzsql.WithLimits(pool.Limits{MaxOpen: 4}))
		errs := write(db, 4, 20*time.Millisecond, 10*time.Second)
		if len(errs) == 0 || !errors.Is(errs[0], errRefused) {
			t.Fatalf("%d errors, want the server's own", len(errs))
		}
		if n := s.dials.Load(); n > 4 {
			t.Errorf("%d dials, want at most 4: the server is writable", n)
		}
		if n := s.asked.Load(); n > 4+10*4 {
			t.Errorf("asked %d times in 10 s, want at most once a second and connection", n)
		}
	})
}

func TestApplicationThatKeepsWritingToAReplicaDoesNotKeepDialling(t *testing.T) {
	atSite(t, func(t *testing.T, pooled bool) {
		a := &backend{name: "a"}
		a.readonly.Store(true)
		s := newSite(always(a))
		db := s.open(t, pooled, herzsql.WithLimits(pool.Limits{MaxOpen: 4}))
		write(db, 4, 50*time.Millisecond, 10*time.Minute)
		if n := s.dials.Load(); n > 4*(1+10+60) {
			t.Errorf("%d dials in ten minutes, want at most ten rounds and then one in ten seconds", n)
		}
	})
}

func TestRequiredRoleIsAskedForAtEachDial(t *testing.T) {
	atSite(t, func(t *testing.T, pooled bool) {
		a := &backend{name: "a"}
		a.readonly.Store(true)
		s := newSite(always(a))
		db := s.open(t, pooled, herzsql.WithName("orders"), herzsql.RequireWritable())
		_, err := db.Exec("write")
		var role *herzsql.RoleError
		if !errors.As(err, &role) || role.Server.Name != "a" || !guard.SafeToRetry(err) {
			t.Fatalf("got %v, want a RoleError about a that is safe to retry", err)
		}
		if !strings.Contains(err.Error(), `"orders"`) || !strings.Contains(err.Error(), "a (read-only)") {
			t.Errorf("the text does not say who and where: %v", err)
		}
		a.readonly.Store(false)
		if errs := write(db, 1, time.Second, 3*time.Second); len(errs) > 1 {
			t.Errorf("after the promotion: %v", errs[1])
		}
		replica := s.open(t, pooled, herzsql.RequireReplica())
		if _, err := replica.Exec("write"); !errors.As(err, &role) {
			t.Errorf("a writable server where a replica is required: %v", err)
		}
	})
}

func TestServerThatLosesTheRequiredRoleIsLeft(t *testing.T) {
	atSite(t, func(t *testing.T, pooled bool) {
		a, b := &backend{name: "a"}, &backend{name: "b"}
		s := newSite(always(a))
		db := s.open(t, pooled, herzsql.RequireWritable(), herzsql.WithLimits(pool.Limits{MaxOpen: 4}))
		hold(t, db, 4)
		a.readonly.Store(true)
		s.lead(always(b))
		time.Sleep(1500 * time.Millisecond) // so that each is asked at its next loan
		if errs := write(db, 4, 20*time.Millisecond, time.Second); len(errs) > 0 {
			t.Errorf("an error for a caller: %v", errs[0])
		}
	})
}

func TestProxyThatSendsEachStatementElsewhereCausesNoReconnects(t *testing.T) {
	atSite(t, func(t *testing.T, pooled bool) {
		a := &backend{name: "a"}
		a.fickle.Store(true)
		s := newSite(always(a))
		db := s.open(t, pooled, herzsql.WithLimits(pool.Limits{MaxOpen: 4}))
		hold(t, db, 4)
		for range 30 {
			time.Sleep(5 * time.Second)
			if errs := write(db, 4, 20*time.Millisecond, time.Second); len(errs) > 0 {
				t.Fatal(errs[0])
			}
		}
		if n := s.clears.Load(); n != 0 {
			t.Errorf("connections were given up %d times, want never", n)
		}
	})
}

func TestServerThatDoesNotKnowTheQuestionIsUsedAndPinged(t *testing.T) {
	atSite(t, func(t *testing.T, pooled bool) {
		a := &backend{name: "a"}
		a.mute.Store(true)
		s := newSite(always(a))
		db := s.open(t, pooled, herzsql.WithLimits(pool.Limits{MaxOpen: 4}))
		hold(t, db, 4)
		asked := s.asked.Load()
		for range 5 {
			time.Sleep(5 * time.Second)
			if errs := write(db, 4, 20*time.Millisecond, time.Second); len(errs) > 0 {
				t.Fatal(errs[0])
			}
		}
		if n := s.asked.Load() - asked; n != 0 {
			t.Errorf("asked %d times again, though it does not know the answer", n)
		}
		if s.pings.Load() == 0 {
			t.Error("idle connections were not pinged")
		}
		var role *herzsql.RoleError
		strict := s.open(t, pooled, herzsql.RequireWritable())
		if _, err := strict.Exec("write"); !errors.As(err, &role) {
			t.Errorf("a required role that nobody vouches for: %v", err)
		}
	})
}

func TestQuestionThatIsNotAnsweredEndsWithinTheBudget(t *testing.T) {
	atSite(t, func(t *testing.T, pooled bool) {
		s := newSite(always(&backend{name: "a"}))
		s.silent.Store(true)
		db := s.open(t, pooled)
		begun := time.Now()
		_, err := db.Exec("write")
		if took := time.Since(begun); err == nil || took > guard.DefaultHeartbeatTimeout {
			t.Errorf("%v after %v, want an error within %v", err, took, guard.DefaultHeartbeatTimeout)
		}
	})
}

func TestIdleConnectionIsAskedInPlaceOfThePing(t *testing.T) {
	atSite(t, func(t *testing.T, pooled bool) {
		s := newSite(always(&backend{name: "a"}))
		db := s.open(t, pooled, herzsql.WithLimits(pool.Limits{MaxOpen: 1}))
		hold(t, db, 1)
		asked := s.asked.Load()
		time.Sleep(1500 * time.Millisecond)
		hold(t, db, 1)
		if s.asked.Load() != asked+1 || s.pings.Load() != 0 {
			t.Errorf("asked %d times and pinged %d times, want once and never", s.asked.Load()-asked, s.pings.Load())
		}
		silent := s.open(t, pooled, herzsql.WithoutIdentity(), herzsql.WithLimits(pool.Limits{MaxOpen: 1}))
		asked = s.asked.Load()
		hold(t, silent, 1)
		time.Sleep(1500 * time.Millisecond)
		hold(t, silent, 1)
		if s.asked.Load() != asked || s.pings.Load() == 0 {
			t.Errorf("WithoutIdentity: asked %d times, pinged %d times", s.asked.Load()-asked, s.pings.Load())
		}
	})
}

func TestRequiredRoleOfADriverThatCannotBeAskedIsRefusedAtOpen(t *testing.T) {
	for _, open := range []func(string, string, ...herzsql.Option) (*sql.DB, error){herzsql.Open, herzsql.OpenPooled} {
		if db, err := open("fake", "127.0.0.1:1", herzsql.RequireWritable()); err == nil || !strings.Contains(err.Error(), "cannot be asked") {
			t.Errorf("opened %v: %v", db, err)
		}
	}
}
