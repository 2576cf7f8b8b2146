package herzsql_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// database/sql closes a connection that nobody wants any more while it holds its own lock, and the guard tells of that end at once.
func TestConnectionThatNobodyWantsAnyMoreDoesNotLockTheDatabase(t *testing.T) {
	s := newServer(t)
	c := hooked{connector: newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})}
	begun, let := make(chan struct{}, 1), make(chan struct{})
	dial, first := c.dial, true
	c.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !first {
			begun <- struct{}{}
			<-let
		}
		first = false
		return dial(ctx, network, addr)
	}
	db, err := herzsql.OpenConnector(c, herzsql.WithLimits(pool.Limits{MaxOpen: 1}), herzsql.WithMaxIdle(-1))
	if err != nil {
		t.Fatal(err)
	}
	held, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	var waiter sync.WaitGroup
	waiter.Go(func() {
		if _, err := db.Conn(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller who left was given %v", err)
		}
	})
	eventually(t, "somebody waits", func() bool { return db.Stats().WaitCount == 1 })
	_ = held.Raw(func(any) error { return driver.ErrBadConn })
	<-begun // database/sql dials for who waits
	leave()
	waiter.Wait()
	close(let)
	answered := make(chan int)
	go func() {
		// What was held, and what was dialled. A locked database keeps this goroutine; one that is not lets it go.
		for limit := time.Now().Add(4 * time.Second); herzsql.Stats(db).Closed[conn.MaxIdle] < 2 && time.Now().Before(limit); {
			time.Sleep(time.Millisecond)
		}
		answered <- db.Stats().OpenConnections
	}()
	limit := time.NewTimer(5 * time.Second)
	defer limit.Stop()
	select {
	case n := <-answered:
		if n != 0 {
			t.Errorf("%d connections are open, and none is to be kept", n)
		}
		_ = db.Close()
	case <-limit.C:
		t.Fatal("the database is locked for ever")
	}
}

// A connection that was dialled for somebody who left rests without having been used, so that database/sql does not reset it at its first loan.
func TestConnectionWhoseFirstUserComesLateIsPinged(t *testing.T) {
	for name, use := range map[string]func(db *sql.DB) error{
		"exec": func(db *sql.DB) error { _, err := db.Exec("add one"); return err },
		"query": func(db *sql.DB) error {
			var n string
			return db.QueryRow("next").Scan(&n)
		},
		"prepare": func(db *sql.DB) error {
			st, err := db.Prepare("add one")
			if err != nil {
				return err
			}
			defer st.Close()
			_, err = st.Exec()
			return err
		},
		"begin": func(db *sql.DB) error {
			tx, err := db.Begin()
			if err != nil {
				return err
			}
			return tx.Commit()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			c := newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})
			let := make(chan struct{})
			dial, first := c.dial, true
			c.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if !first {
					<-let
				}
				first = false
				return dial(ctx, network, addr)
			}
			db, err := herzsql.OpenConnector(c, herzsql.WithLimits(pool.Limits{MaxOpen: 1, PingAfter: 20 * time.Millisecond, HeartbeatTimeout: 1600 * time.Millisecond}))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			held, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ctx, leave := context.WithCancel(t.Context())
			var waiter sync.WaitGroup
			waiter.Go(func() {
				if _, err := db.Conn(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("a caller who left was given %v", err)
				}
			})
			eventually(t, "somebody waits", func() bool { return db.Stats().WaitCount == 1 })
			_ = held.Raw(func(any) error { return driver.ErrBadConn })
			leave()
			waiter.Wait()
			close(let)
			eventually(t, "what was dialled rests, and the server knows it", func() bool { return db.Stats().Idle == 1 && s.accepted.Load() == 2 })
			if got := herzsql.Stats(db); got.InUse != 0 || got.Idle != 1 {
				t.Errorf("a connection that rests, and was dialled for somebody who had left, is told as %+v", got)
			}
			s.fallSilent()
			time.Sleep(40 * time.Millisecond) // longer than PingAfter
			within(t, 1600*time.Millisecond, "the first use of a connection that fell silent", func() {
				if err := use(db); err != nil {
					t.Errorf("a silent idle connection surfaced: %v", err)
				}
			})
			if got := herzsql.Stats(db); got.HeartbeatErrs != 1 || got.Open != 1 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestConnectionThatItsDriverGaveUpIsNoPlannedClose(t *testing.T) {
	controlled(t, func(t *testing.T, way string, open func(*server, pool.Limits) *sql.DB) {
		if way != "hooked" {
			return // the others are told by Close
		}
		db := open(newServer(t), pool.Limits{MaxOpen: 1})
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Raw(func(driverConn any) error { driverConn.(*own).end(); return nil })
		_ = c.Close()
		if got := herzsql.Stats(db).Closed; got[conn.Error] != 1 || len(got) != 1 {
			t.Errorf("a connection that its driver gave up ended by %v", got)
		}
		fill(t, db, 1)
		_ = db.Close()
		if got := herzsql.Source(db).Stats(); got.Open != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// goodbye is a socket whose reader takes an answer that begins with "bye" for the end: what a goodbye of TLS, or a fatal error, is to a driver. The
// guard below saw bytes, and no end.
type goodbye struct{ net.Conn }

func (g goodbye) NetConn() net.Conn { return g.Conn }

func (g goodbye) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if bytes.HasPrefix(b[:n], []byte("bye")) {
		return 0, io.EOF
	}
	return n, err
}

func TestBadConnectionOfWhichTheGuardSawNoEndIsNotRepeated(t *testing.T) {
	inBothModesOfAConnector(t, func(t *testing.T, open connectorOpener) {
		for name, run := range map[string]func(db *sql.DB) error{
			"exec":  func(db *sql.DB) error { _, err := db.Exec("add one"); return err },
			"query": func(db *sql.DB) error { _, err := db.Query("next"); return err },
		} {
			t.Run(name, func(t *testing.T) {
				s := newServer(t)
				c := newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})
				c.eager = true
				dial := c.dial
				c.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := dial(ctx, network, addr)
					return goodbye{nc}, err
				}
				db, err := open(c, herzsql.WithLimits(pool.Limits{MaxOpen: 3}))
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				fill(t, db, 3)
				s.bye.Store(true)
				if err := run(db); !errors.Is(err, guard.ErrAmbiguous) || errors.Is(err, driver.ErrBadConn) || guard.SafeToRetry(err) {
					t.Errorf("the error is %v, not ErrAmbiguous", err)
				}
				if n := s.executed.Load(); n != 1 {
					t.Errorf("executed %d times, not once", n)
				}
			})
		}
	})
}

func TestStatementThatOutlivesItsConnLeavesTheNextUserAlone(t *testing.T) {
	s := newServer(t)
	db := modes[1].db(t, s, pool.Limits{MaxOpen: 1})
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st, err := c.PrepareContext(t.Context(), "add one")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	next, err := db.Conn(t.Context()) // the same connection
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	var both sync.WaitGroup
	both.Go(func() { _ = st.Close() })
	both.Go(func() {
		again, err := next.PrepareContext(t.Context(), "add one")
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := again.Exec(); err != nil {
			t.Error(err)
		}
	})
	both.Wait()
	if p, u := s.prepared.Load(), s.closedSt.Load(); p != 1 || u != 0 {
		t.Errorf("prepared %d times, and closed %d, not 1 and 0", p, u)
	}
}

// polite is a driver whose connections say goodbye and return what becomes of that, as those of lib/pq do over TLS.
type polite struct{ *connector }

func (p polite) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &politeConn{c.(*full)}, nil
}

type politeConn struct{ *full }

func (p *politeConn) Close() error {
	_, err := io.WriteString(p.nc, "goodbye\n")
	p.end()
	return err
}

func TestCloseOfADatabaseWhoseConnectionsAreLostIsNoError(t *testing.T) {
	inBothModesOfAConnector(t, func(t *testing.T, open connectorOpener) {
		s := newServer(t)
		db, err := open(polite{newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})}, herzsql.WithLimits(pool.Limits{MaxOpen: 3}))
		if err != nil {
			t.Fatal(err)
		}
		fill(t, db, 3)
		s.hangUp()
		s.awaitDeaths(t)
		if err := db.Close(); err != nil {
			t.Errorf("connections that the server has closed cannot be closed: %v", err)
		}
	})
}

func TestLimitsInForceAreThoseThatAreTold(t *testing.T) {
	s := newServer(t)
	db := modes[0].db(t, s, pool.Limits{MaxOpen: 1})
	for range 2000 {
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				if err := herzsql.SetLimits(db, pool.Limits{MaxOpen: n + 2}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if told, kept := herzsql.Source(db).Limits().MaxOpen, db.Stats().MaxOpenConnections; told != kept {
			t.Fatalf("told are %d connections, and in force are %d", told, kept)
		}
	}
}

func TestDrainWithoutTimeClosesWhatIsIdleAllTheSame(t *testing.T) {
	controlled(t, func(t *testing.T, _ string, open func(*server, pool.Limits) *sql.DB) {
		s := newServer(t)
		db := open(s, pool.Limits{MaxOpen: 4})
		fill(t, db, 3)
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := herzsql.Source(db).Drain(ended); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 connection is still lent") {
			t.Errorf("a drain without time ends as %v", err)
		}
		eventually(t, "the idle ones are closed", func() bool { return s.open() == 1 })
	})
}
