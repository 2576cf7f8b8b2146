package herzsql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

func TestDeadConnectionIsNeverLent(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db := m.db(t, s, pool.Limits{MaxOpen: 8})
		fill(t, db, 8)
		s.hangUp()
		s.awaitDeaths(t)
		for i := range 16 {
			if _, err := db.Exec("add one"); err != nil {
				t.Fatalf("statement %d: %v", i, err)
			}
		}
		if n := s.executed.Load(); n != 16 {
			t.Errorf("the server executed %d statements, not 16", n)
		}
	})
}

func TestLostAnswerIsAmbiguousAndNotRepeated(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		for name, run := range map[string]func(db *sql.DB) error{
			"exec":  func(db *sql.DB) error { _, err := db.Exec("add one"); return err },
			"query": func(db *sql.DB) error { var n string; return db.QueryRow("next").Scan(&n) },
			"prepared": func(db *sql.DB) error {
				st, err := db.Prepare("add one")
				if err != nil {
					return err
				}
				defer st.Close()
				_, err = st.Exec(1)
				return err
			},
			"transaction": func(db *sql.DB) error {
				tx, err := db.Begin()
				if err != nil {
					return err
				}
				return errors.Join(tx.Commit())
			},
		} {
			t.Run(name, func(t *testing.T) {
				s := newServer(t)
				db := m.db(t, s, pool.Limits{MaxOpen: 2})
				fill(t, db, 1)
				s.swallow.Store(true)
				err := run(db)
				if !errors.Is(err, guard.ErrAmbiguous) {
					t.Fatalf("the error is %v, not ErrAmbiguous", err)
				}
				if !errors.Is(err, errInvalid) {
					t.Errorf("the driver's own error is not in %v", err)
				}
				if errors.Is(err, driver.ErrBadConn) || guard.SafeToRetry(err) {
					t.Errorf("%v invites to repeat", err)
				}
				if n := s.executed.Load() + s.commits.Load(); n != 1 {
					t.Errorf("executed %d times, not once", n)
				}
				s.swallow.Store(false)
				if err := db.Ping(); err != nil {
					t.Errorf("the connection did not leave the pool: %v", err)
				}
				if d := herzsql.Source(db).Deaths(); len(d) != 1 || d[0].Cause != conn.PeerFIN || d[0].Pool != "orders" {
					t.Errorf("deaths: %v", d)
				}
			})
		}
	})
}

func TestShortResultIsNeverTakenForAWholeOne(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db := m.db(t, s, pool.Limits{})
		s.half.Store(true)
		rows, err := db.Query("all")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			n++
		}
		if !errors.Is(rows.Err(), guard.ErrAmbiguous) {
			t.Errorf("after %d of 3 rows the error is %v, not ErrAmbiguous", n, rows.Err())
		}
	})
}

func TestAnswerThatAsksForAnotherConnectionIsRepeated(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db, err := m.open("honest", s.listener.Addr().String(), herzsql.WithLimits(pool.Limits{MaxOpen: 4}))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		fill(t, db, 1)
		s.readonly.Store(1)
		if _, err := db.Exec("add one"); err != nil {
			t.Fatalf("a complete answer was taken for a lost one: %v", err)
		}
		if n := s.executed.Load(); n != 1 {
			t.Errorf("executed %d times, not once", n)
		}
	})
}

func TestRefusalInsideATransactionIsNotSafeToRetry(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db := m.db(t, s, pool.Limits{})
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		s.hangUp()
		s.awaitDeaths(t)
		_, err = tx.Exec("add one")
		if !errors.Is(err, driver.ErrBadConn) || !errors.Is(err, guard.ErrDead) {
			t.Errorf("the error is %v, not ErrBadConn and ErrDead", err)
		}
		if guard.SafeToRetry(err) {
			t.Errorf("a statement of a transaction was called safe to repeat alone: %v", err)
		}
		if err := tx.Commit(); err == nil || errors.Is(err, guard.ErrAmbiguous) {
			t.Errorf("a commit that never left ends with %v", err)
		}
		if n := s.executed.Load() + s.commits.Load(); n != 0 {
			t.Errorf("executed %d times", n)
		}
	})
}

func TestSilentConnectionIsFoundByThePingWithinTheBudget(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db := m.db(t, s, pool.Limits{MaxOpen: 8, PingAfter: 20 * time.Millisecond, HeartbeatTimeout: 1600 * time.Millisecond})
		fill(t, db, 8)
		s.fallSilent()
		time.Sleep(40 * time.Millisecond) // longer than PingAfter
		within(t, 1600*time.Millisecond, "the first statement over eight silent connections", func() {
			if _, err := db.Exec("add one"); err != nil {
				t.Errorf("a silent idle connection surfaced: %v", err)
			}
		})
		if n := s.executed.Load(); n != 1 {
			t.Errorf("executed %d times", n)
		}
	})
}

func TestSuspectsAreDroppedWithoutAPing(t *testing.T) {
	s := newServer(t)
	db := modes[0].db(t, s, pool.Limits{MaxOpen: 8, PingAfter: 300 * time.Millisecond, HeartbeatTimeout: 1600 * time.Millisecond})
	fill(t, db, 8)
	s.fallSilent()
	time.Sleep(400 * time.Millisecond) // longer than PingAfter
	if _, err := db.Exec("add one"); err != nil {
		t.Fatal(err)
	}
	before := herzsql.Stats(db).Heartbeats
	hold := make([]*sql.Conn, 7)
	within(t, 1600*time.Millisecond, "taking seven more connections after the first ping failed", func() {
		for i := range hold {
			c, err := db.Conn(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			hold[i] = c
		}
	})
	if after := herzsql.Stats(db).Heartbeats; after != before {
		t.Errorf("%d suspects were pinged", after-before)
	}
	for _, c := range hold {
		_ = c.Close()
	}
}

func TestPingLeavesHalfOfTheCallersTime(t *testing.T) {
	s := newServer(t)
	db := modes[0].db(t, s, pool.Limits{MaxOpen: 4, PingAfter: time.Millisecond})
	fill(t, db, 1)
	s.fallSilent()
	time.Sleep(5 * time.Millisecond) // longer than PingAfter
	ctx, cancel := context.WithTimeout(context.Background(), 600*time.Millisecond)
	defer cancel()
	if _, err := db.ExecContext(ctx, "add one"); err != nil {
		t.Errorf("the ping used up the caller's time: %v", err)
	}
}

func TestDialEndsWithinTheBudget(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db := m.db(t, s, pool.Limits{HeartbeatTimeout: 300 * time.Millisecond})
		_ = s.listener.Close()
		within(t, 2*time.Second, "a dial to nobody", func() {
			err := db.Ping()
			if err == nil {
				t.Error("a dial to nobody succeeded")
			}
		})
	})
}

func TestSilentServerDoesNotHoldADial(t *testing.T) {
	s := newServer(t)
	c := newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})
	hang := &hanging{connector: c}
	db, err := herzsql.OpenConnector(hang, herzsql.WithLimits(pool.Limits{HeartbeatTimeout: 200 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	within(t, time.Second, "a handshake that is never answered", func() {
		err := db.Ping()
		var dial *pool.DialError
		if !errors.As(err, &dial) || !guard.SafeToRetry(err) {
			t.Errorf("the error is %v, not a DialError that is safe to retry", err)
		}
	})
}

func TestWaitersForASilentServerAllEndWithTheFirst(t *testing.T) {
	s := newServer(t)
	c := newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})
	const budget = 400 * time.Millisecond
	db, err := herzsql.OpenConnector(&hanging{connector: c}, herzsql.WithLimits(pool.Limits{MaxOpen: 1, HeartbeatTimeout: budget}))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	within(t, 3*budget, "eight callers of one connection", func() {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := db.Ping(); !guard.SafeToRetry(err) {
					t.Errorf("the error is %v, not one that is safe to retry", err)
				}
			})
		}
		wg.Wait()
	})
}

// hanging ignores its context in the handshake, as some drivers do.
type hanging struct{ *connector }

func (h *hanging) Connect(ctx context.Context) (driver.Conn, error) {
	nc, err := h.dial(ctx, "tcp", h.addr)
	if err != nil {
		return nil, err
	}
	_, err = nc.Read(make([]byte, 1))
	return nil, errors.Join(err, nc.Close())
}

func TestCancelledCallNeverReturnsItsConnectionInMidAnswer(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		c := newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})
		c.sticky = true // the driver forgets to close
		open := herzsql.OpenConnector
		if m.name == "pooled" {
			open = herzsql.OpenPooledConnector
		}
		db, err := open(c, herzsql.WithLimits(pool.Limits{MaxOpen: 1}))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		fill(t, db, 1)
		s.fallSilent()
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := db.ExecContext(ctx, "slow"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the error is %v", err)
		}
		next, stop := context.WithTimeout(context.Background(), 2*time.Second)
		defer stop()
		if _, err := db.ExecContext(next, "add one"); err != nil {
			t.Errorf("the next user got the connection of the cancelled call: %v", err)
		}
		if n := s.accepted.Load(); n != 2 {
			t.Errorf("%d connections were made, not 2: the cancelled call's was kept", n)
		}
	})
}

func TestPingThatIsAnsweredTooLateIsNoSignOfLife(t *testing.T) {
	s := newServer(t)
	c := newConnector(s.listener.Addr().String(), &guard.Dialer{})
	c.tardy = true
	db, err := herzsql.OpenConnector(c, herzsql.WithLimits(pool.Limits{TestOnBorrow: true, HeartbeatTimeout: 320 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fill(t, db, 1)
	if _, err := db.Exec("add one"); err != nil {
		t.Errorf("a fresh connection was to be had, and the caller got: %v", err)
	}
	if st := herzsql.Stats(db); st.Heartbeats != 1 || st.HeartbeatErrs != 1 || st.Dials != 2 {
		t.Errorf("%d pings, %d of them failed, %d dials; the only ping was answered after its connection had been cut", st.Heartbeats, st.HeartbeatErrs, st.Dials)
	}
}
