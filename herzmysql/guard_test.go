package herzmysql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"herz.example/herz/guard"
	"herz.example/herz/herzmysql"
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
	db, err := open("mysql", dsn, herzsql.WithLimits(l))
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
		db := database(t, open, s.dsn(""), pool.Limits{MaxOpen: 6})
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

func TestLostAnswerIsAmbiguousAndNotRepeated(t *testing.T) {
	ways := map[string]func(db *sql.DB) error{
		"exec":  func(db *sql.DB) error { _, err := db.Exec("add one"); return err },
		"query": func(db *sql.DB) error { _, err := db.Query("all"); return err },
		"prepared": func(db *sql.DB) error {
			st, err := db.Prepare("add one")
			if err != nil {
				return err
			}
			defer st.Close()
			_, err = st.Exec()
			return err
		},
		"commit": func(db *sql.DB) error {
			tx, err := db.Begin()
			if err != nil {
				return err
			}
			return tx.Commit()
		},
	}
	inBothModes(t, func(t *testing.T, open opener) {
		for name, run := range ways {
			t.Run(name, func(t *testing.T) {
				s := newServer(t)
				db := database(t, open, s.dsn(""), pool.Limits{MaxOpen: 2})
				fill(t, db, 1)
				s.swallow.Store(true)
				err := run(db)
				if !errors.Is(err, guard.ErrAmbiguous) || !errors.Is(err, mysql.ErrInvalidConn) {
					t.Fatalf("the error is %v, not ErrAmbiguous and ErrInvalidConn", err)
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

func TestReadTimeoutOfTheDriverIsAmbiguousAndNotRepeated(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s.dsn("readTimeout=500ms"), pool.Limits{MaxOpen: 2})
		s.ignore.Store(true)
		_, err := db.Exec("add one")
		if !errors.Is(err, guard.ErrAmbiguous) || errors.Is(err, driver.ErrBadConn) {
			t.Errorf("the error is %v, not ErrAmbiguous", err)
		}
		if n := s.executed.Load(); n != 1 {
			t.Errorf("executed %d times, not once", n)
		}
	})
}

func TestContextThatEndsInMidAnswerTakesItsConnectionAway(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s.dsn(""), pool.Limits{MaxOpen: 1})
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
	})
}

func TestShortResultIsNeverTakenForAWholeOne(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s.dsn(""), pool.Limits{})
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

func TestReadOnlyServerIsLeftForAnotherConnection(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s.dsn("rejectReadOnly=true"), pool.Limits{MaxOpen: 4})
		fill(t, db, 1)
		s.readonly.Store(1)
		if _, err := db.Exec("add one"); err != nil {
			t.Errorf("a complete answer was taken for a lost one: %v", err)
		}
		if n := s.executed.Load(); n != 1 {
			t.Errorf("executed %d times, not once", n)
		}
	})
}

func TestSilentConnectionIsFoundByThePingWithinTheBudget(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s.dsn(""), pool.Limits{MaxOpen: 6, PingAfter: 20 * time.Millisecond, HeartbeatTimeout: 1600 * time.Millisecond})
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

func TestOwnConfigurationIsGuardedAndKeepsItsDialFunction(t *testing.T) {
	s := newServer(t)
	cfg, err := mysql.ParseDSN(s.dsn(""))
	if err != nil {
		t.Fatal(err)
	}
	var dials atomic.Int64
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	herzmysql.Guard(cfg)
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db, err := herzsql.OpenConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fill(t, db, 1)
	if got := herzsql.Source(db).Snapshot(); dials.Load() != 1 || len(got) != 1 || got[0].Peer != s.listener.Addr().String() {
		t.Errorf("%d dials, connections %+v", dials.Load(), got)
	}
	s.swallow.Store(true)
	if _, err := db.Exec("add one"); !errors.Is(err, guard.ErrAmbiguous) {
		t.Errorf("the lost answer ended as %v", err)
	}
}

// asked counts how often somebody wants to look at the socket.
type asked struct {
	*net.TCPConn

	looks *atomic.Int64
}

func (a asked) SyscallConn() (syscall.RawConn, error) {
	a.looks.Add(1)
	return a.TCPConn.SyscallConn()
}

func TestDriverDoesNotAskAtEachLoanForWhatTheGuardIsTold(t *testing.T) {
	s := newServer(t)
	cfg, err := mysql.ParseDSN(s.dsn(""))
	if err != nil {
		t.Fatal(err)
	}
	var looks atomic.Int64
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return asked{nc.(*net.TCPConn), &looks}, nil
	}
	herzmysql.Guard(cfg)
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db, err := herzsql.OpenConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fill(t, db, 1)
	before := looks.Load()
	for range 10 {
		if _, err := db.Exec("add one"); err != nil {
			t.Fatal(err)
		}
	}
	if more := looks.Load() - before; (more == 0) != (runtime.GOOS == "linux") {
		t.Errorf("in 10 loans the driver looked at the socket %d times", more)
	}
}

// Without the driver's own look Herz sees bytes that nobody asked for once the connection has been silent for a moment.
func TestLateBytesAreNotTheNextUsersAnswer(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s.dsn(""), pool.Limits{MaxOpen: 1})
		fill(t, db, 1)
		s.mutter()
		time.Sleep(2 * guard.DefaultProbeAfter) // the silence after which a guard asks the kernel
		if _, err := db.Exec("add one"); err != nil {
			t.Fatal(err)
		}
		if n := s.accepted.Load(); n != 2 {
			t.Errorf("%d connections, not a second one in the place of that with bytes in its socket", n)
		}
	})
}

func TestRegisteredNetworkKeepsItsDialFunction(t *testing.T) {
	cfg := mysql.NewConfig()
	cfg.Net = "tunnel"
	herzmysql.Guard(cfg)
	if cfg.DialFunc != nil {
		t.Error("the function registered for the network would not be called any more")
	}
}

func TestBadNameIsRefusedAtOpen(t *testing.T) {
	if _, err := herzsql.Open("mysql", "no name at all"); err == nil {
		t.Error("a name that cannot be parsed was taken")
	}
}
