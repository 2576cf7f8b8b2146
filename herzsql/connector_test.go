package herzsql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"testing"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

type connectorOpener func(c driver.Connector, opts ...herzsql.Option) (*sql.DB, error)

func inBothModesOfAConnector(t *testing.T, test func(t *testing.T, open connectorOpener)) {
	t.Run("guarded", func(t *testing.T) { test(t, herzsql.OpenConnector) })
	t.Run("pooled", func(t *testing.T) { test(t, herzsql.OpenPooledConnector) })
}

func TestDriverThatCallsLostAnswersBadConnectionsIsNotRepeated(t *testing.T) {
	inBothModesOfAConnector(t, func(t *testing.T, open connectorOpener) {
		for name, run := range map[string]func(db *sql.DB) error{
			"exec":  func(db *sql.DB) error { _, err := db.Exec("add one"); return err },
			"query": func(db *sql.DB) error { _, err := db.Query("next"); return err },
		} {
			t.Run(name, func(t *testing.T) {
				s := newServer(t)
				c := newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})
				c.eager = true
				db, err := open(c, herzsql.WithLimits(pool.Limits{MaxOpen: 3}))
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				fill(t, db, 3)
				s.swallow.Store(true)
				if err := run(db); !errors.Is(err, guard.ErrAmbiguous) || errors.Is(err, driver.ErrBadConn) {
					t.Errorf("the error is %v, not ErrAmbiguous", err)
				}
				if n := s.executed.Load(); n != 1 {
					t.Errorf("executed %d times, not once", n)
				}
			})
		}
	})
}

func TestConnectionWithoutAGuardIsStillPingedAndCounted(t *testing.T) {
	inBothModesOfAConnector(t, func(t *testing.T, open connectorOpener) {
		s := newServer(t)
		c := newConnector(s.listener.Addr().String(), nil)
		c.dial = new(net.Dialer).DialContext
		db, err := open(c, herzsql.WithLimits(pool.Limits{MaxOpen: 2, PingAfter: 20 * time.Millisecond, HeartbeatTimeout: 1600 * time.Millisecond}))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		fill(t, db, 2)
		if got := herzsql.Stats(db); got.Open != 2 || got.Idle != 2 {
			t.Errorf("%+v", got)
		}
		s.hangUp()
		time.Sleep(40 * time.Millisecond) // longer than PingAfter
		if _, err := db.Exec("add one"); err != nil {
			t.Errorf("a dead connection surfaced: %v", err)
		}
		if n := s.executed.Load(); n != 1 {
			t.Errorf("executed %d times, not once", n)
		}
	})
}

func TestMinIdleIsDialledAtOnceInPooledMode(t *testing.T) {
	s := newServer(t)
	db := modes[1].db(t, s, pool.Limits{MinIdle: 3})
	eventually(t, "three idle connections", func() bool { return herzsql.Stats(db).Idle == 3 })
}

func TestIdleConnectionsAreKeptUpToTheLimit(t *testing.T) {
	for want, n := range map[int]int{10: 0, 2: 2, 0: -1} {
		s := newServer(t)
		db, err := herzsql.Open("fake", s.listener.Addr().String(), herzsql.WithMaxIdle(n))
		if err != nil {
			t.Fatal(err)
		}
		fill(t, db, 10)
		if got := herzsql.Stats(db).Idle; got != want {
			t.Errorf("WithMaxIdle(%d) keeps %d idle connections, not %d", n, got, want)
		}
		_ = db.Close()
	}
}

func TestEndedContextBorrowsNothing(t *testing.T) {
	inBothModesOfAConnector(t, func(t *testing.T, open connectorOpener) {
		s := newServer(t)
		db, err := open(newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL}))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		fill(t, db, 1)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := db.ExecContext(ctx, "add one"); !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
		if got := herzsql.Stats(db); got.Idle != 1 || got.InUse != 0 || s.executed.Load() != 0 {
			t.Errorf("%+v, executed %d times", got, s.executed.Load())
		}
	})
}

func TestErrorOfAResetIsTakenAsByDatabaseSQL(t *testing.T) {
	inBothModesOfAConnector(t, func(t *testing.T, open connectorOpener) {
		for err, conns := range map[error]int64{errors.New("no reset today"): 1, driver.ErrBadConn: 4} {
			s := newServer(t)
			c := newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})
			c.reset = err
			db, openErr := open(c, herzsql.WithLimits(pool.Limits{MaxOpen: 1}))
			if openErr != nil {
				t.Fatal(openErr)
			}
			for range 4 {
				if _, err := db.Exec("add one"); err != nil {
					t.Error(err)
				}
			}
			if n := s.accepted.Load(); n != conns {
				t.Errorf("%v: %d connections for four statements, not %d", err, n, conns)
			}
			_ = db.Close()
		}
	})
}
