package herzpq_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/lib/pq"
	"go.uber.org/goleak"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzpq"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type opener func(driverName, dsn string, opts ...herzsql.Option) (*sql.DB, error)

func inBothModes(t *testing.T, test func(t *testing.T, open opener)) {
	t.Run("guarded", func(t *testing.T) { test(t, herzsql.Open) })
	t.Run("pooled", func(t *testing.T) { test(t, herzsql.OpenPooled) })
}

func database(t *testing.T, open opener, dsn string, l pool.Limits) *sql.DB {
	t.Helper()
	db, err := open("postgres", dsn, herzsql.WithLimits(l))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// fill makes n connections, has each used, and leaves them idle.
func fill(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	conns := make([]*sql.Conn, n)
	for i := range conns {
		c, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.ExecContext(context.Background(), "warm"); err != nil {
			t.Fatal(err)
		}
		conns[i] = c
	}
	for _, c := range conns {
		_ = c.Close()
	}
}

func (s *server) awaitDeaths(t *testing.T) {
	t.Helper()
	alive := func() bool {
		for _, g := range guard.Live() {
			if g.RemoteAddr().String() == s.listener.Addr().String() && !g.Dead() {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(5 * time.Second); alive(); {
		if time.Now().After(deadline) {
			t.Fatal("the guards did not see within 5 s that the server has closed")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestDeadConnectionIsNeverLent(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s.dsn(), pool.Limits{MaxOpen: 6})
		fill(t, db, 6)
		s.hangUp()
		s.awaitDeaths(t)
		for range 12 {
			if _, err := db.Exec("add one"); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.executed.Load(); n != 12 {
			t.Errorf("executed %d times, not 12", n)
		}
	})
}

// ways are those in which a statement reaches the server.
var ways = map[string]func(ctx context.Context, db *sql.DB) error{
	"exec": func(ctx context.Context, db *sql.DB) error { _, err := db.ExecContext(ctx, "add one"); return err },
	"arguments": func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "add $1", "one")
		return err
	},
	"query": func(ctx context.Context, db *sql.DB) error { return drain(db.QueryContext(ctx, "all")) },
	"prepared": func(ctx context.Context, db *sql.DB) error {
		st, err := db.Prepare("add one")
		if err != nil {
			return err
		}
		defer st.Close()
		_, err = st.ExecContext(ctx)
		return err
	},
	"prepared query": func(ctx context.Context, db *sql.DB) error {
		st, err := db.Prepare("all")
		if err != nil {
			return err
		}
		defer st.Close()
		return drain(st.QueryContext(ctx))
	},
	"transaction": func(ctx context.Context, db *sql.DB) error {
		tx, err := db.BeginTx(context.Background(), nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		_, err = tx.ExecContext(ctx, "add one")
		return err
	},
}

func drain(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		continue
	}
	return rows.Err()
}

func TestLostAnswerIsAmbiguousAndNotRepeated(t *testing.T) {
	for name, run := range ways {
		t.Run(name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, open opener) {
				s := newServer(t)
				db := database(t, open, s.dsn(), pool.Limits{MaxOpen: 2})
				fill(t, db, 1)
				s.swallow.Store(true)
				err := run(context.Background(), db)
				if !errors.Is(err, guard.ErrAmbiguous) || errors.Is(err, driver.ErrBadConn) || guard.SafeToRetry(err) {
					t.Errorf("the error is %v, not ErrAmbiguous alone", err)
				}
				if n := s.executed.Load(); n != 1 {
					t.Errorf("executed %d times, not once", n)
				}
				s.swallow.Store(false)
				if err := db.Ping(); err != nil {
					t.Errorf("the connection did not leave the pool: %v", err)
				}
			})
		})
	}
}

func TestLostAnswerToCommitIsAmbiguous(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s.dsn(), pool.Limits{})
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		s.swallow.Store(true)
		if err := tx.Commit(); !errors.Is(err, guard.ErrAmbiguous) {
			t.Errorf("the error is %v, not ErrAmbiguous", err)
		}
	})
}

// TestStockDriverRunsALostStatementAgain is what the others are measured against: were it no longer so, they would show nothing.
func TestStockDriverRunsALostStatementAgain(t *testing.T) {
	s := newServer(t)
	db, err := sql.Open("postgres", s.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s.swallow.Store(true)
	if _, err := db.Exec("add one"); err == nil {
		t.Error("no answer came, and no error")
	}
	if n := s.executed.Load(); n < 2 {
		t.Errorf("executed %d times: lib/pq does not repeat lost answers any more", n)
	}
}

func TestShortResultIsNeverTakenForAWholeOne(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s.dsn(), pool.Limits{})
		s.cut.Store(true)
		if err := drain(db.Query("all")); !errors.Is(err, guard.ErrAmbiguous) {
			t.Errorf("a result cut after its first row ended with %v, not ErrAmbiguous", err)
		}
	})
}

func TestCallEndsSoonAfterItsContextThoughTheServerIsSilent(t *testing.T) {
	for name, run := range ways {
		for _, frozen := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/frozen=", frozen), func(t *testing.T) {
				inBothModes(t, func(t *testing.T, open opener) { endsSoon(t, open, run, frozen) })
			})
		}
	}
}

func endsSoon(t *testing.T, open opener, run func(ctx context.Context, db *sql.DB) error, frozen bool) {
	s := newServer(t)
	db := database(t, open, s.dsn(), pool.Limits{MaxOpen: 1})
	fill(t, db, 1)
	s.ignore.Store(true)
	s.frozen.Store(frozen)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := run(ctx, db)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("a call with 100 ms took %v", took)
	}
	if !errors.Is(err, context.DeadlineExceeded) || guard.SafeToRetry(err) {
		t.Errorf("the error is %v, not the context's", err)
	}
	s.ignore.Store(false)
	if _, err := db.Exec("add one"); err != nil {
		t.Errorf("the only place of the pool was not freed: %v", err)
	}
	if n := s.executed.Load(); n != 2 {
		t.Errorf("executed %d times, not 2", n)
	}
	for limit := time.Now().Add(2 * time.Second); s.open() > 1; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("two seconds later %d connections are open: cancel requests stay", s.open())
		}
	}
}

func TestRowsEndSoonAfterTheirContextThoughTheServerIsSilent(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s.dsn(), pool.Limits{MaxOpen: 1})
		fill(t, db, 1)
		s.pause.Store(true)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := drain(db.QueryContext(ctx, "all")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error is %v, not the context's", err)
		}
		if _, err := db.Exec("add one"); err != nil {
			t.Errorf("the only place of the pool was not freed: %v", err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("rows with 100 ms took %v", took)
		}
	})
}

// Whose own time ended knows that the rows were cut, without asking for their error.
func TestEndOfTheCallersContextIsNoSilentEmptiness(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s.dsn(), pool.Limits{MaxOpen: 1})
		fill(t, db, 1)
		s.pause.Store(true)
		func() {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			rows, err := db.QueryContext(ctx, "all")
			if err != nil {
				t.Error(err)
				return
			}
			for rows.Next() {
			}
			_ = rows.Close() // and their error is not asked, which is the point
		}()
		for range 50 {
			runtime.GC()
			time.Sleep(2 * time.Millisecond) // cleanups run on a goroutine of their own
		}
		if cut := herzsql.Source(db).Unasked(); len(cut) != 0 {
			t.Errorf("the end of the caller's own time is told as silent emptiness: %+v", cut)
		}
	})
}

func TestTransactionEndsSoonAfterItsContextThoughTheServerIsSilent(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s.dsn(), pool.Limits{MaxOpen: 1})
		fill(t, db, 1)
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.ignore.Store(true)
		began := time.Now()
		if _, err := tx.Exec("add one"); err == nil {
			t.Error("no answer came, and no error")
		}
		s.ignore.Store(false)
		if _, err := db.Exec("add one"); err != nil {
			t.Errorf("the only place of the pool was not freed: %v", err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("a transaction with 500 ms took %v", took)
		}
	})
}

func TestSilentConnectionIsFoundByThePingWithinTheBudget(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s.dsn(), pool.Limits{MaxOpen: 3, PingAfter: 100 * time.Millisecond})
		fill(t, db, 3)
		s.fallSilent()
		time.Sleep(300 * time.Millisecond) // longer than PingAfter
		began := time.Now()
		if _, err := db.Exec("add one"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > pool.DefaultHeartbeatTimeout {
			t.Errorf("it took %v, longer than the budget", took)
		}
		for _, d := range herzsql.Source(db).Deaths() {
			if d.Cause != conn.Heartbeat {
				t.Errorf("a silent connection died of %v, not of the heartbeat", d.Cause)
			}
		}
	})
}

func TestOwnConnectorIsGuarded(t *testing.T) {
	for _, open := range []func(driver.Connector, ...herzsql.Option) (*sql.DB, error){herzsql.OpenConnector, herzsql.OpenPooledConnector} {
		s := newServer(t)
		c, err := pq.NewConnector(s.dsn())
		if err != nil {
			t.Fatal(err)
		}
		herzpq.Guard(c)
		db, err := open(c)
		if err != nil {
			t.Fatal(err)
		}
		s.swallow.Store(true)
		if _, err := db.Exec("add one"); !errors.Is(err, guard.ErrAmbiguous) || s.executed.Load() != 1 {
			t.Errorf("executed %d times, and the error is %v", s.executed.Load(), err)
		}
		_ = db.Close()
	}
}

func TestConnectTimeoutOfTheNameIsKept(t *testing.T) {
	s := newServer(t)
	db := database(t, herzsql.Open, s.dsn()+"&connect_timeout=2", pool.Limits{})
	if _, err := db.Exec("add one"); err != nil {
		t.Error(err)
	}
}

func TestBadNameIsRefusedAtOpen(t *testing.T) {
	if _, err := herzsql.Open("postgres", "postgres://host/db?sslmode=perhaps"); err == nil {
		t.Error("a name that the driver cannot read was taken")
	}
}
