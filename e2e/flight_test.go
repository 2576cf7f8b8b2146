//go:build linux

package e2e_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/faultlab/netns"
	"herz.example/herz/faultlab/server"
	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// statements differ between the products only in how they sleep.
type statements struct{ table, insert, read, write, late string }

var inFlight = map[server.Kind]statements{
	server.MariaDB: {
		table:  "CREATE TABLE mark (v VARCHAR(20))",
		insert: "INSERT INTO mark",
		read:   "SELECT SLEEP(30)",
		write:  "INSERT INTO mark SELECT IF(SLEEP(1), 'cut', 'executed')",
		late:   "INSERT INTO mark VALUES ('late')",
	},
	server.PostgreSQL: {
		table:  "CREATE TABLE mark (v VARCHAR(20))",
		insert: "INSERT INTO mark",
		read:   "SELECT pg_sleep(30)",
		write:  "INSERT INTO mark SELECT 'executed' FROM pg_sleep(1)",
		late:   "INSERT INTO mark VALUES ('late')",
	},
}

// site is a server behind a path that can become a black hole.
type site struct {
	n    *netns.NS
	s    *server.Server
	db   *sql.DB // of Herz
	look *sql.DB // the operator's
	sql  statements
}

func newSite(t *testing.T, k server.Kind, m mode, l pool.Limits) *site {
	t.Helper()
	n := netns.New(t)
	s := start(t, k, server.Options{IP: n.IP(), Enter: n.Do})
	at := &site{n: n, s: s, db: m.openDB(t, s, l), look: operator(t, s), sql: inFlight[k]}
	do(t, at.look, at.sql.table)
	return at
}

// launch starts a statement and gives its outcome later.
func launch(t *testing.T, db *sql.DB, statement string) <-chan call {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	bound := time.AfterFunc(callMost, cancel)
	out := make(chan call, 1)
	go func() {
		defer cancel()
		defer bound.Stop()
		began := time.Now()
		_, err := db.ExecContext(ctx, statement)
		out <- call{time.Since(began), err}
	}()
	return out
}

// hole makes every flow that is there now a black hole, and says when it was made.
func (at *site) hole(t *testing.T) time.Time {
	t.Helper()
	fell, err := at.n.BlackHole(at.s.Port)
	if err != nil || fell == 0 {
		t.Fatalf("BlackHole = %d, %v", fell, err)
	}
	return time.Now()
}

// lost checks what a statement whose answer did not come ends with, and when.
func lost(t *testing.T, c call, opened time.Time) {
	t.Helper()
	took := time.Since(opened)
	t.Logf("figures: error %v after the fault (%v over the bound of %v)", took.Round(time.Millisecond), max(0, took-budget), budget)
	if took > budget+slack {
		t.Errorf("the error came %v after the fault, more than %v", took, budget+slack)
	}
	switch {
	case c.err == nil:
		t.Error("the statement succeeded in a black hole")
	case !errors.Is(c.err, guard.ErrAmbiguous):
		t.Errorf("the error is not ErrAmbiguous: %v", c.err)
	case guard.SafeToRetry(c.err):
		t.Errorf("the error claims that it is safe to retry: %v", c.err)
	case errors.Is(c.err, driver.ErrBadConn):
		t.Errorf("the error is driver.ErrBadConn, which others repeat: %v", c.err)
	}
}

// usable checks that the database serves at once after the fault, and that the record names a silent path.
func (at *site) usable(t *testing.T) {
	t.Helper()
	longest := noErrors(t, []call{ask(t, at.db), ask(t, at.db)})
	t.Logf("figures: the next call took %v", longest.Round(time.Millisecond))
	silent := func(d conn.Death) bool { return d.Cause == conn.Unacked || d.Cause == conn.KeepAlive }
	if deaths := herzsql.Source(at.db).Deaths(); !slices.ContainsFunc(deaths, silent) {
		t.Errorf("no death says that the path fell silent: %v", causes(deaths))
	}
}

// written checks how often a statement was executed, once nothing runs any more.
func (at *site) written(t *testing.T, value string, times int) {
	t.Helper()
	if !within(10*time.Second, func() bool { return running(t, at.s.Kind, at.look, at.sql.insert) == 0 }) {
		t.Fatal("the server is still executing a write after 10 s")
	}
	if n := number(t, at.look, "SELECT COUNT(*) FROM mark WHERE v = '"+value+"'"); n != times {
		t.Errorf("the server executed the write %d times, want %d", n, times)
	}
}

func (at *site) awaitRunning(t *testing.T, statement string) {
	t.Helper()
	if !within(10*time.Second, func() bool { return running(t, at.s.Kind, at.look, statement) > 0 }) {
		t.Fatalf("%s does not run on the server after 10 s", statement)
	}
}

func TestReadInFlightInABlackHoleEndsInTime(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		at := newSite(t, k, m, pool.Limits{})
		plain := stock(t, at.s)
		outcome := launch(t, at.db, at.sql.read)
		control := make(chan call, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
			defer cancel()
			_, err := plain.ExecContext(ctx, at.sql.read)
			control <- call{err: err}
		}()
		if !within(10*time.Second, func() bool { return running(t, k, at.look, at.sql.read) == 2 }) {
			t.Fatal("the two reads do not run on the server after 10 s")
		}
		opened := at.hole(t)
		lost(t, <-outcome, opened)
		at.usable(t)

		c := <-control
		took := time.Since(opened)
		t.Logf("figures: control, the same without Herz: %v, %v after the hole opened", c.err, took.Round(time.Millisecond))
		if took <= budget+slack {
			t.Errorf("control: without Herz the call ended %v after the hole opened, so that the test shows nothing", took)
		}
		heal(t, at.n)
	})
}

func TestWriteInFlightInABlackHoleIsNotRepeated(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		at := newSite(t, k, m, pool.Limits{})
		outcome := launch(t, at.db, at.sql.write)
		at.awaitRunning(t, at.sql.insert)
		opened := at.hole(t)
		lost(t, <-outcome, opened)
		at.usable(t)
		at.written(t, "executed", 1)
		heal(t, at.n)
	})
}

func TestWriteSentIntoABlackHoleEndsInTime(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		// Without a ping before it is lent, as a connection has none that was used less than a second ago.
		at := newSite(t, k, m, pool.Limits{PingAfter: -1})
		fill(t, at.db, 1)
		opened := at.hole(t)
		outcome := launch(t, at.db, at.sql.late)
		lost(t, <-outcome, opened)
		at.usable(t)
		at.written(t, "late", 0)
		heal(t, at.n)
	})
}

func TestWriteInFlightWhenTheServerIsKilledIsNotRepeated(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		at := newSite(t, k, m, pool.Limits{})
		outcome := launch(t, at.db, at.sql.write)
		at.awaitRunning(t, at.sql.insert)
		killed := time.Now()
		if err := at.s.Kill(); err != nil {
			t.Fatal(err)
		}
		lost(t, <-outcome, killed)
		if err := at.s.Restart(); err != nil {
			t.Fatal(err)
		}
		noErrors(t, []call{ask(t, at.db), ask(t, at.db)})
		at.written(t, "executed", 0)
	})
}

func TestTransactionCutByABlackHoleIsNotRepeated(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		at := newSite(t, k, m, pool.Limits{})
		ctx, cancel := context.WithTimeout(t.Context(), callMost)
		defer cancel()
		tx, err := at.db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, at.sql.late); err != nil {
			t.Fatal(err)
		}
		opened := at.hole(t)
		lost(t, call{err: tx.Commit()}, opened)
		at.usable(t)
		at.written(t, "late", 0) // the COMMIT fell into the hole
		heal(t, at.n)
	})
}

// unreached checks calls that could not reach a server: each ends in time, and as nothing of it was sent, safe to repeat.
func unreached(t *testing.T, calls []call) {
	t.Helper()
	var longest time.Duration
	for _, c := range calls {
		longest = max(longest, c.took)
		switch {
		case c.err == nil:
			t.Errorf("a call succeeded after %v without a server", c.took)
		case !guard.SafeToRetry(c.err):
			t.Errorf("nothing was sent, but the error does not say that it is safe to retry: %v", c.err)
		}
	}
	t.Logf("figures: %d calls, the longest ended after %v (%v over the bound of %v)", len(calls), longest.Round(time.Millisecond),
		max(0, longest-budget), budget)
	if longest > budget+slack {
		t.Errorf("a call took %v, more than %v", longest, budget+slack)
	}
}

func TestUnreachableServerEndsEachCallInTime(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		at := newSite(t, k, m, pool.Limits{})
		fill(t, at.db, connections)
		time.Sleep(idle)
		if err := at.n.Vanish(at.s.Port); err != nil {
			t.Fatal(err)
		}
		unreached(t, askTogether(t, at.db, 3*connections)) // two thirds wait for a connection
		heal(t, at.n)
		noErrors(t, askTogether(t, at.db, connections))
	})
}

func TestFrozenServerEndsCallsOnIdleConnectionsInTime(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		s := start(t, k, server.Options{})
		db := m.openDB(t, s, pool.Limits{})
		fill(t, db, connections)
		time.Sleep(idle)
		if err := s.Freeze(); err != nil {
			t.Fatal(err)
		}
		calls := askTogether(t, db, connections)
		if err := s.Thaw(); err != nil {
			t.Fatal(err)
		}
		unreached(t, calls)
		says(t, m, db, "its kernel acknowledged what was asked: the path is there")
		noErrors(t, askTogether(t, db, connections))
	})
}

func TestCallThatItsContextEndedIsNoPlannedEndInTheRecord(t *testing.T) {
	eachKind(t, func(t *testing.T, k server.Kind) {
		s := start(t, k, server.Options{})
		db := pooled.openDB(t, s, pool.Limits{})
		if k == server.MariaDB { // connections that are pgx's own do not tell in guarded mode when they are in use
			db = guarded.openDB(t, s, pool.Limits{})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := db.ExecContext(ctx, inFlight[k].read); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the call ended with %v, not with that of its context", err)
		}
		view := herzsql.Source(db)
		if !within(5*time.Second, func() bool { return len(view.Deaths()) > 0 }) {
			t.Fatal("the connection in mid-answer has no record of its end")
		}
		if d := view.Deaths()[0]; d.Cause != conn.Error && d.Cause != conn.Timeout {
			t.Errorf("the record calls it %v: %v", d.Cause, d)
		}
	})
}
