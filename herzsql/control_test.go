package herzsql_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// controlled are the three ways in which herzsql keeps connections: wrapped, the driver's own with a hook, and in Herz's pool.
func controlled(t *testing.T, test func(t *testing.T, way string, open func(s *server, l pool.Limits) *sql.DB)) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			test(t, m.name, func(s *server, l pool.Limits) *sql.DB { return m.db(t, s, l) })
		})
	}
	t.Run("hooked", func(t *testing.T) {
		test(t, "hooked", func(s *server, l pool.Limits) *sql.DB {
			c := hooked{connector: newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})}
			db, err := herzsql.OpenConnector(c, herzsql.WithName("orders"), herzsql.WithLimits(l))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			return db
		})
	})
}

func TestNumActiveAndNumIdleAreTrue(t *testing.T) {
	controlled(t, func(t *testing.T, _ string, open func(*server, pool.Limits) *sql.DB) {
		db := open(newServer(t), pool.Limits{MaxOpen: 4})
		fill(t, db, 3)
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if v := herzsql.Source(db); v.NumActive() != 1 || v.NumIdle() != 2 {
			t.Errorf("%d active and %d idle, not 1 and 2", v.NumActive(), v.NumIdle())
		}
	})
}

func TestEvictStaleLeavesWhatIsWellAndWhatIsLent(t *testing.T) {
	controlled(t, func(t *testing.T, _ string, open func(*server, pool.Limits) *sql.DB) {
		s := newServer(t)
		db := open(s, pool.Limits{MaxOpen: 12})
		fill(t, db, 12)
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pings := s.pings.Load()
		n, err := herzsql.Source(db).EvictStale(t.Context())
		if n != 0 || err != nil {
			t.Errorf("of well connections %d were closed, %v", n, err)
		}
		if asked := s.pings.Load() - pings; asked != 11 {
			t.Errorf("%d connections were pinged, not the 11 idle ones", asked)
		}
		if got := herzsql.Stats(db); got.Idle != 11 || got.InUse != 1 || s.accepted.Load() != 12 {
			t.Errorf("after the look: %d idle, %d in use, %d dialled", got.Idle, got.InUse, s.accepted.Load())
		}
		if _, err := c.ExecContext(t.Context(), "add one"); err != nil {
			t.Errorf("the lent connection was touched: %v", err)
		}
		_ = c.Close()
	})
}

func TestEvictStaleClosesWhatDoesNotAnswer(t *testing.T) {
	controlled(t, func(t *testing.T, _ string, open func(*server, pool.Limits) *sql.DB) {
		s := newServer(t)
		db := open(s, pool.Limits{MaxOpen: 6, HeartbeatTimeout: 1600 * time.Millisecond})
		fill(t, db, 6)
		s.fallSilent()
		within(t, 15*time.Second, "the look at six silent connections", func() { // the pool's own asks each of them
			if n, err := herzsql.Source(db).EvictStale(t.Context()); n != 6 || err != nil {
				t.Errorf("of six silent connections %d were closed, %v", n, err)
			}
		})
		eventually(t, "none is left", func() bool { return herzsql.Stats(db).Open == 0 })
		if got := herzsql.Stats(db).Closed[conn.Heartbeat]; got != 6 {
			t.Errorf("%d were closed for their silence: %v", got, herzsql.Stats(db).Closed)
		}
		if _, err := db.Exec("add one"); err != nil {
			t.Errorf("the database is of no use afterwards: %v", err)
		}
	})
}

func TestEvictStaleClosesTheDeadAndTheOld(t *testing.T) {
	controlled(t, func(t *testing.T, way string, open func(*server, pool.Limits) *sql.DB) {
		s := newServer(t)
		db := open(s, pool.Limits{MaxOpen: 6, MaxLifetime: time.Hour})
		fill(t, db, 4)
		if err := herzsql.SetLimits(db, pool.Limits{MaxOpen: 6, MaxIdleTime: 20 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Millisecond)
		if n, err := herzsql.Source(db).EvictStale(t.Context()); way != "pooled" && n != 4 || err != nil {
			t.Errorf("of four idle for too long %d were closed, %v", n, err) // the pool's own look may have been quicker
		}
		eventually(t, "the old have left", func() bool { return herzsql.Stats(db).Open == 0 })

		if err := herzsql.SetLimits(db, pool.Limits{MaxOpen: 6}); err != nil {
			t.Fatal(err)
		}
		fill(t, db, 4)
		s.hangUp()
		s.awaitDeaths(t)
		if _, err := herzsql.Source(db).EvictStale(t.Context()); err != nil {
			t.Error(err)
		}
		eventually(t, "the dead have left", func() bool { return db.Stats().Idle == 0 && herzsql.Stats(db).Open == 0 })
	})
}

// TestEvictStaleTellsNobodyThatAServerAnswered: a connection that was only taken out and given back has not been heard from.
func TestEvictStaleTellsNobodyThatAServerAnswered(t *testing.T) {
	s := newServer(t)
	db := modes[0].db(t, s, pool.Limits{MaxOpen: 2, PingAfter: 60 * time.Millisecond})
	fill(t, db, 2)
	time.Sleep(70 * time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := herzsql.Source(db).EvictStale(ctx); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gives %d, %v", n, err)
	}
	herzsql.Source(db).Invalidate(errors.New("a look that finds nothing")) // closes all
	fill(t, db, 2)
	time.Sleep(70 * time.Millisecond)
	before := s.pings.Load()
	if _, err := herzsql.Source(db).EvictStale(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(70 * time.Millisecond)
	if _, err := db.Exec("add one"); err != nil {
		t.Fatal(err)
	}
	if n := s.pings.Load() - before; n != 3 {
		t.Errorf("%d pings, not two by the look and one before the loan", n)
	}
}

func TestInvalidatedConnectionIsNeverLentAgain(t *testing.T) {
	controlled(t, func(t *testing.T, _ string, open func(*server, pool.Limits) *sql.DB) {
		s := newServer(t)
		db := open(s, pool.Limits{MaxOpen: 6})
		fill(t, db, 4)
		lent, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v := herzsql.Source(db)
		v.Invalidate(errors.New("an operator said so"))
		eventually(t, "the idle ones are closed", func() bool { return s.open() == 1 })
		if got := v.Stats(); got.Generation != 2 {
			t.Errorf("the generation is %d, not 2", got.Generation)
		}
		if _, err := lent.ExecContext(t.Context(), "add one"); err != nil {
			t.Errorf("the lent connection was cut: %v", err)
		}
		_ = lent.Close()
		old := s.accepted.Load()
		fill(t, db, 4)
		if n := s.accepted.Load() - old; n != 4 {
			t.Errorf("%d of four connections are new", n)
		}
		eventually(t, "the one that was lent is closed", func() bool { return s.open() == 4 })
		eventually(t, "all are counted", func() bool { return v.Stats().Closed[conn.Generation] == 4 })
		// One that was counted may still be on its way out of the list.
		eventually(t, "only new ones are left", func() bool {
			all := v.Snapshot()
			return len(all) == 4 && !slices.ContainsFunc(all, func(i pool.ConnInfo) bool { return i.Generation != 2 })
		})
	})
}

func TestConnectionDialledDuringAnInvalidationIsNotUsed(t *testing.T) {
	s := newServer(t)
	var calls atomic.Int64
	var v *herzsql.View
	c := newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})
	dial := c.dial
	c.dial = func(ctx context.Context, network, addr string) (nc net.Conn, err error) {
		if calls.Add(1) == 1 {
			defer v.Invalidate(errors.New("while it is dialled"))
		}
		return dial(ctx, network, addr)
	}
	for name, open := range map[string]func() (*sql.DB, error){
		"guarded": func() (*sql.DB, error) { return herzsql.OpenConnector(c) },
		"hooked":  func() (*sql.DB, error) { return herzsql.OpenConnector(hooked{connector: c}) },
	} {
		t.Run(name, func(t *testing.T) {
			calls.Store(0)
			db, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			v = herzsql.Source(db)
			if _, err := db.Exec("add one"); err != nil {
				t.Fatal(err)
			}
			if got := v.Stats(); calls.Load() != 2 || got.Closed[conn.Generation] != 1 || got.Open != 1 {
				t.Errorf("%d dials, %+v", calls.Load(), got)
			}
		})
	}
}

func TestDrainLetsUsersFinishAndNobodyBegin(t *testing.T) {
	controlled(t, func(t *testing.T, _ string, open func(*server, pool.Limits) *sql.DB) {
		s := newServer(t)
		db := open(s, pool.Limits{MaxOpen: 4})
		fill(t, db, 3)
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		v := herzsql.Source(db)
		hurry, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := v.Drain(hurry); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 connection is still lent") {
			t.Errorf("a drain with a transaction open ends as %v", err)
		}
		eventually(t, "the idle ones are closed", func() bool { return s.open() == 1 })
		if _, err := db.Exec("add one"); !errors.Is(err, pool.ErrClosed) {
			t.Errorf("a drained database gives %v", err)
		}
		if _, err := tx.Exec("add one"); err != nil {
			t.Errorf("the transaction was cut: %v", err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := v.Drain(t.Context()); err != nil {
				t.Errorf("drain: %v", err)
			}
		})
		if err := tx.Commit(); err != nil {
			t.Errorf("the transaction could not be committed: %v", err)
		}
		wg.Wait()
		if err := db.Ping(); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("after the drain the database says %v", err)
		}
		eventually(t, "the server has nobody left", func() bool { return s.open() == 0 })
		eventually(t, "all were drained", func() bool { return v.Stats().Closed[conn.Drained] == 3 })
		if herzsql.Source(db) == v {
			t.Error("the drained database is still known")
		}
	})
}

func TestVerbsWorkUnderLoad(t *testing.T) {
	controlled(t, func(t *testing.T, _ string, open func(*server, pool.Limits) *sql.DB) {
		s := newServer(t)
		db := open(s, pool.Limits{MaxOpen: 6, PingAfter: 2 * time.Millisecond})
		v := herzsql.Source(db)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if _, err := db.Exec("add one"); err != nil {
						t.Errorf("a statement failed: %v", err)
						return
					}
				}
			})
		}
		for range 50 {
			if _, err := v.EvictStale(ctx); err != nil {
				t.Error(err)
			}
			v.Invalidate(errors.New("under load"))
		}
		cancel()
		wg.Wait()
		fill(t, db, 6)
		eventually(t, "the numbers are true again", func() bool {
			got := v.Stats()
			return got.Open == 6 && got.Idle == 6 && s.open() == 6
		})
	})
}

func TestForeignDatabaseRefusesTheVerbs(t *testing.T) {
	s := newServer(t)
	db := sql.OpenDB(newConnector(s.listener.Addr().String(), &guard.Dialer{}))
	defer db.Close()
	v := herzsql.Source(db)
	v.Invalidate(errors.New("nothing to do"))
	if _, err := v.EvictStale(t.Context()); err == nil {
		t.Error("EvictStale says that it worked")
	}
	if v.Drain(t.Context()) == nil || v.Controllable() == nil {
		t.Error("a foreign database can be drained")
	}
	if own := modes[0].db(t, s, pool.Limits{}); herzsql.Source(own).Controllable() != nil {
		t.Error("a database of ours cannot be controlled")
	}
}
