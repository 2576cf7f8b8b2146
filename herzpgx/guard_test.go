package herzpgx_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"

	"herz.example/herz/guard"
	"herz.example/herz/herzpgx"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type opener func(driverName, dsn string, opts ...herzsql.Option) (*sql.DB, error)

func inBothModes(t *testing.T, test func(t *testing.T, open opener)) {
	t.Run("guarded", func(t *testing.T) { test(t, herzsql.Open) })
	t.Run("pooled", func(t *testing.T) { test(t, herzsql.OpenPooled) })
}

func database(t *testing.T, open opener, s *server, l pool.Limits) *sql.DB {
	t.Helper()
	db, err := open("pgx", s.dsn(), herzsql.WithLimits(l))
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

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (s *server) awaitDeaths(t *testing.T) {
	t.Helper()
	eventually(t, "the guards see that the server has closed", func() bool {
		for _, g := range guard.Live() {
			if g.RemoteAddr().String() == s.listener.Addr().String() && !g.Dead() {
				return false
			}
		}
		return true
	})
}

func TestDeadConnectionIsNeverLent(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s, pool.Limits{MaxOpen: 6})
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

var ways = map[string]func(db *sql.DB) error{
	"simple":   func(db *sql.DB) error { _, err := db.Exec("add one"); return err },
	"query":    func(db *sql.DB) error { _, err := db.Query("all"); return err },
	"prepared": prepared,
	"commit": func(db *sql.DB) error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		return tx.Commit()
	},
}

func prepared(db *sql.DB) error {
	st, err := db.Prepare("add one")
	if err != nil {
		return err
	}
	defer st.Close()
	_, err = st.Exec()
	return err
}

func TestLostAnswerIsAmbiguousAndNotRepeated(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		for name, run := range ways {
			t.Run(name, func(t *testing.T) {
				s := newServer(t)
				db := database(t, open, s, pool.Limits{MaxOpen: 2})
				fill(t, db, 1)
				s.swallow.Store(true)
				err := run(db)
				if !errors.Is(err, guard.ErrAmbiguous) {
					t.Fatalf("the error is %v, not ErrAmbiguous", err)
				}
				if errors.Is(err, driver.ErrBadConn) || guard.SafeToRetry(err) {
					t.Errorf("%v invites to repeat", err)
				}
				if n := s.executed.Load(); n != 1 {
					t.Errorf("executed %d times, not once", n)
				}
				s.swallow.Store(false)
				if err := db.Ping(); err != nil {
					t.Errorf("the connection did not leave the pool: %v", err)
				}
				if n := s.accepted.Load(); n != 2 {
					t.Errorf("%d connections, not a second one for the one that was lost", n)
				}
			})
		}
	})
}

func TestGoodbyeOfTLSInMidAnswerIsAmbiguousAndNotRepeated(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		for name, run := range ways {
			t.Run(name, func(t *testing.T) {
				web := httptest.NewTLSServer(nil)
				web.Close()
				s := newServer(t)
				s.tls.Store(&tls.Config{Certificates: web.TLS.Certificates})
				db, err := open("pgx", strings.Replace(s.dsn(), "disable", "require", 1), herzsql.WithLimits(pool.Limits{MaxOpen: 2}))
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				fill(t, db, 1)
				s.swallow.Store(true)
				if err := run(db); !errors.Is(err, guard.ErrAmbiguous) || errors.Is(err, driver.ErrBadConn) || guard.SafeToRetry(err) {
					t.Errorf("the error is %v, not ErrAmbiguous", err)
				}
				if n := s.executed.Load(); n != 1 {
					t.Errorf("executed %d times, not once", n)
				}
				s.swallow.Store(false)
				if err := db.Ping(); err != nil {
					t.Errorf("the connection did not leave the pool: %v", err)
				}
			})
		}
	})
}

func TestContextThatEndsInMidAnswerTakesItsConnectionAway(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s, pool.Limits{MaxOpen: 1})
		fill(t, db, 1)
		s.ignore.Store(true)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if _, err := db.ExecContext(ctx, "add one"); !errors.Is(err, context.DeadlineExceeded) || guard.SafeToRetry(err) {
			t.Errorf("the error is %v, not the context's", err)
		}
		s.ignore.Store(false)
		if _, err := db.Exec("add one"); err != nil {
			t.Error(err)
		}
		if n, c := s.executed.Load(), s.accepted.Load(); n != 2 || c != 2 {
			t.Errorf("executed %d times on %d connections, not 2 on 2", n, c)
		}
		eventually(t, "pgx asks the server to cancel", func() bool { return s.canceled.Load() == 1 })
		s.hangUp()
	})
}

func TestContextThatEndsBetweenRowsTakesItsConnectionAway(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s, pool.Limits{MaxOpen: 1})
		fill(t, db, 1)
		s.pause.Store(true)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		rows, err := db.QueryContext(ctx, "all")
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
		}
		if err := rows.Err(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a result cut by the context ended with %v", err)
		}
		_ = rows.Close()
		s.pause.Store(false)
		if _, err := db.Exec("add one"); err != nil {
			t.Error(err)
		}
		if n := s.accepted.Load(); n != 2 {
			t.Errorf("%d connections, not a second one for the one that was cut", n)
		}
		s.hangUp() // pgx goes on reading what it gave up
	})
}

func TestRefusalInsideATransactionIsNotSafeToRetry(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s, pool.Limits{})
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		s.hangUp()
		s.awaitDeaths(t)
		if _, err := tx.Exec("add one"); err == nil || guard.SafeToRetry(err) {
			t.Errorf("a statement of a transaction was called safe to repeat alone: %v", err)
		}
		_ = tx.Rollback()
		if _, err := db.Exec("add one"); err != nil {
			t.Error(err)
		}
		if n := s.executed.Load(); n != 1 {
			t.Errorf("executed %d times, not once", n)
		}
	})
}

func TestShortResultIsNeverTakenForAWholeOne(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s, pool.Limits{})
		count := func() (n int, err error) {
			rows, err := db.Query("all")
			if err != nil {
				return 0, err
			}
			defer rows.Close()
			for rows.Next() {
				n++
			}
			return n, rows.Err()
		}
		if n, err := count(); n != 2 || err != nil {
			t.Fatalf("%d rows, %v", n, err)
		}
		s.cut.Store(true)
		if n, err := count(); !errors.Is(err, guard.ErrAmbiguous) {
			t.Errorf("after %d of 2 rows the error is %v, not ErrAmbiguous", n, err)
		}
	})
}

func TestSilentConnectionIsFoundByThePingWithinTheBudget(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s, pool.Limits{MaxOpen: 6, PingAfter: 20 * time.Millisecond, HeartbeatTimeout: 1600 * time.Millisecond})
		fill(t, db, 6)
		s.fallSilent()
		time.Sleep(40 * time.Millisecond) // longer than PingAfter
		begun := time.Now()
		if _, err := db.Exec("add one"); err != nil {
			t.Errorf("a silent idle connection surfaced: %v", err)
		}
		if took := time.Since(begun); took > 1600*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestRawStaysPgxsOwn(t *testing.T) {
	for name, open := range map[string]opener{"guarded": herzsql.Open, "pooled": herzsql.OpenPooled} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			db := database(t, open, s, pool.Limits{})
			c, err := db.Conn(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.Raw(func(driverConn any) error {
				if _, ok := driverConn.(*stdlib.Conn); !ok && name == "guarded" {
					t.Errorf("Raw gives a %T", driverConn)
				}
				if _, ok := herzsql.Unwrap(driverConn).(*stdlib.Conn); !ok {
					t.Errorf("unwrapped to a %T", herzsql.Unwrap(driverConn))
				}
				return nil
			})
		})
	}
}

func TestOwnConfigurationIsGuardedAndKeepsItsHooks(t *testing.T) {
	s := newServer(t)
	cfg, err := pgx.ParseConfig(s.dsn())
	if err != nil {
		t.Fatal(err)
	}
	resets := 0
	db, err := herzsql.OpenConnector(herzpgx.Connector(cfg, stdlib.OptionResetSession(func(context.Context, *pgx.Conn) error {
		resets++
		return nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fill(t, db, 1)
	if _, err := db.Exec("add one"); err != nil {
		t.Fatal(err)
	}
	if got := herzsql.Source(db).Snapshot(); resets != 1 || len(got) != 1 || got[0].Peer != s.listener.Addr().String() {
		t.Errorf("%d resets, connections %+v", resets, got)
	}
}

func pgxPool(t *testing.T, s *server) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(s.dsn())
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 4
	herzpgx.GuardPool(cfg)
	p, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestPgxpoolNeverLendsADeadConnection(t *testing.T) {
	s := newServer(t)
	p := pgxPool(t, s)
	var held []*pgxpool.Conn
	for range 4 {
		c, err := p.Acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	for _, c := range held {
		c.Release()
	}
	s.hangUp()
	s.awaitDeaths(t)
	for range 8 {
		if _, err := p.Exec(context.Background(), "add one"); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.executed.Load(); n != 8 {
		t.Errorf("executed %d times, not 8", n)
	}
}

func TestPgxpoolFindsSilentConnectionsByOnePing(t *testing.T) {
	s := newServer(t)
	p := pgxPool(t, s)
	var held []*pgxpool.Conn
	for range 4 {
		c, err := p.Acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	for _, c := range held {
		c.Release()
	}
	s.fallSilent()
	time.Sleep(1100 * time.Millisecond) // longer than the idle time that asks for a ping
	begun := time.Now()
	if _, err := p.Exec(context.Background(), "add one"); err != nil {
		t.Errorf("a silent idle connection surfaced: %v", err)
	}
	if took := time.Since(begun); took > 1500*time.Millisecond {
		t.Errorf("four silent connections took %v: they were pinged one after the other", took)
	}
	s.hangUp() // pgx goes on reading what it gave up
}

func TestPgxpoolLostAnswerIsAmbiguousAndNotRepeated(t *testing.T) {
	s := newServer(t)
	p := pgxPool(t, s)
	s.swallow.Store(true)
	if _, err := p.Exec(context.Background(), "add one"); !errors.Is(err, guard.ErrAmbiguous) {
		t.Errorf("the error is %v, not ErrAmbiguous", err)
	}
	s.swallow.Store(false)
	if _, err := p.Exec(context.Background(), "add one"); err != nil {
		t.Errorf("the connection did not leave the pool: %v", err)
	}
	if n := s.executed.Load(); n != 2 {
		t.Errorf("executed %d times, not 2", n)
	}
}

func TestCancelRequestEndsWithoutAnError(t *testing.T) {
	s := newServer(t)
	cfg, err := pgx.ParseConfig(s.dsn())
	if err != nil {
		t.Fatal(err)
	}
	herzpgx.Guard(cfg)
	c, err := pgx.ConnectConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if err := c.PgConn().CancelRequest(context.Background()); err != nil {
		t.Errorf("a cancel request whose connection the server closed ended with %v", err)
	}
	if n := s.canceled.Load(); n != 1 {
		t.Errorf("%d cancel requests", n)
	}
}

func TestSeveralHostsShareTheBudget(t *testing.T) {
	cfg, err := pgx.ParseConfig("postgres://user@one,two/shop?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	herzpgx.Guard(cfg)
	if cfg.ConnectTimeout != guard.DefaultHeartbeatTimeout/2 {
		t.Errorf("each of two hosts gets %v", cfg.ConnectTimeout)
	}
	if _, err := herzsql.Open("pgx", "postgres://user@[broken"); err == nil {
		t.Error("a name that cannot be parsed was taken")
	}
}
