//go:build linux

package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/faultlab/server"
	"herz.example/herz/guard"
	_ "herz.example/herz/herzmysql"
	_ "herz.example/herz/herzpgx"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

const (
	connections = 6                       // each database keeps so many
	budget      = 3200 * time.Millisecond // from a fault to the outcome of a call
	slack       = 100 * time.Millisecond  // of the test itself: two processes and a scheduler on a loaded machine
	idle        = 1100 * time.Millisecond // longer than the second after which a connection is pinged before it is lent
	callMost    = 20 * time.Second        // ends a call that would hang; the caller's context has no deadline that could be seen
)

// mode is a way to open a database.
type mode struct {
	name string
	open func(driverName, dsn string, opts ...herzsql.Option) (*sql.DB, error)
}

var (
	guarded = mode{"guarded", herzsql.Open}
	pooled  = mode{"pooled", herzsql.OpenPooled}
)

// eachKind runs a test for each product, side by side.
func eachKind(t *testing.T, test func(t *testing.T, k server.Kind)) {
	t.Helper()
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// eachMode runs a test for each product in both modes.
func eachMode(t *testing.T, test func(t *testing.T, k server.Kind, m mode)) {
	t.Helper()
	eachKind(t, func(t *testing.T, k server.Kind) {
		t.Helper()
		for _, m := range []mode{guarded, pooled} {
			t.Run(m.name, func(t *testing.T) { test(t, k, m) })
		}
	})
}

// start starts a server and, after its clients have closed, looks that no guarded socket is left.
func start(t *testing.T, k server.Kind, o server.Options) *server.Server {
	t.Helper()
	s := server.Start(t, k, o)
	t.Cleanup(func() {
		left := func() (n int) {
			for _, g := range guard.Live() {
				if g.RemoteAddr().String() == s.Addr() {
					n++
				}
			}
			return n
		}
		if !within(5*time.Second, func() bool { return left() == 0 }) {
			t.Errorf("%d guarded sockets are left 5 s after Close", left())
		}
	})
	return s
}

// openDB opens a database of Herz.
func (m mode) openDB(t *testing.T, s *server.Server, l pool.Limits) *sql.DB {
	t.Helper()
	if l.MaxOpen == 0 {
		l.MaxOpen = connections
	}
	db, err := m.open(s.Kind.Driver(), s.DSN(), herzsql.WithName(t.Name()), herzsql.WithLimits(l))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// stock opens the same database as people do without Herz.
func stock(t *testing.T, s *server.Server) *sql.DB {
	t.Helper()
	db, err := sql.Open(s.Kind.Driver(), s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	t.Cleanup(func() { db.Close() })
	return db
}

// operator opens a database that keeps no connection, to look at the server from outside.
func operator(t *testing.T, s *server.Server) *sql.DB {
	t.Helper()
	db := stock(t, s)
	db.SetMaxIdleConns(-1)
	return db
}

// fill opens n connections and leaves them idle.
func fill(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callMost)
	defer cancel()
	var held []*sql.Conn
	for range n {
		c, err := db.Conn(ctx)
		if err != nil {
			t.Fatalf("open connection %d: %v", len(held)+1, err)
		}
		held = append(held, c)
		var one int
		if err := c.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
			t.Fatalf("use connection %d: %v", len(held), err)
		}
	}
	for _, c := range held {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// call is the outcome of one statement.
type call struct {
	took time.Duration
	err  error
}

// ask runs a query under a context that has no deadline, as most callers do.
func ask(t *testing.T, db *sql.DB) call {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	bound := time.AfterFunc(callMost, cancel)
	defer bound.Stop()
	began := time.Now()
	var one int
	err := db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	return call{time.Since(began), err}
}

// askTogether runs n queries at once.
func askTogether(t *testing.T, db *sql.DB, n int) []call {
	t.Helper()
	calls := make([]call, n)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() { calls[i] = ask(t, db) })
	}
	wg.Wait()
	return calls
}

// noErrors says how many calls failed and that each ended in time. It returns the longest.
func noErrors(t *testing.T, calls []call) (longest time.Duration) {
	t.Helper()
	for i, c := range calls {
		longest = max(longest, c.took)
		if c.err != nil {
			t.Errorf("call %d of %d surfaced an error after %v: %v", i+1, len(calls), c.took, c.err)
		}
	}
	if longest > budget {
		t.Errorf("the longest of %d calls took %v, more than %v", len(calls), longest, budget)
	}
	return longest
}

// survive uses the database after a fault that killed all its idle connections: nobody hears of it.
func survive(t *testing.T, db *sql.DB) {
	t.Helper()
	view := herzsql.Source(db)
	calls := askTogether(t, db, connections)
	for range connections {
		calls = append(calls, ask(t, db))
	}
	longest := noErrors(t, calls)
	// A ping that keeps nobody waiting any more may go on for its whole time.
	within(2*budget, func() bool { return len(view.Deaths()) >= connections })
	deaths := view.Deaths()
	if len(deaths) < connections {
		t.Errorf("the fault killed %d connections, want all %d", len(deaths), connections)
	}
	for _, d := range deaths {
		if d.Cause == conn.MaxIdle || d.Cause == conn.MaxLifetime || d.Cause == conn.Drained {
			t.Errorf("the record calls the fault a planned end: %v", d)
		}
	}
	t.Logf("figures: %d calls, 0 errors expected, longest %v; deaths: %v", len(calls), longest.Round(time.Millisecond), causes(deaths))
}

func causes(deaths []conn.Death) string {
	n := map[conn.Cause]int{}
	for i := range deaths {
		n[deaths[i].Cause]++
	}
	return fmt.Sprint(n)
}

// within polls until ok is true or the time is over.
func within(most time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(most)
	for !ok() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}

// running counts the statements on the server whose text begins so, other than that of the operator.
func running(t *testing.T, k server.Kind, db *sql.DB, begin string) int {
	t.Helper()
	query := "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE ?"
	if k == server.PostgreSQL {
		query = "SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE $1"
	}
	return number(t, db, query, begin+"%")
}

// sessions counts the clients of the server other than the operator.
func sessions(t *testing.T, k server.Kind, db *sql.DB) int {
	t.Helper()
	query := "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'herz' AND id <> CONNECTION_ID()"
	if k == server.PostgreSQL {
		query = "SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
	}
	return number(t, db, query)
}

func number(t *testing.T, db *sql.DB, query string, args ...any) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callMost)
	defer cancel()
	var n int
	if err := db.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func do(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callMost)
	defer cancel()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
