package herzsql_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mode opens a database over the server in one of the two modes.
type mode struct {
	name string
	open func(driverName, dsn string, opts ...herzsql.Option) (*sql.DB, error)
}

var modes = []mode{{"guarded", herzsql.Open}, {"pooled", herzsql.OpenPooled}}

func inBothModes(t *testing.T, test func(t *testing.T, m mode)) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) { test(t, m) })
	}
}

func (m mode) db(t *testing.T, s *server, l pool.Limits) *sql.DB {
	t.Helper()
	db, err := m.open("fake", s.listener.Addr().String(), herzsql.WithName("orders"), herzsql.WithLimits(l))
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

// fill makes n connections and leaves them idle.
func fill(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	conns := make([]*sql.Conn, n)
	for i := range conns {
		c, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.ExecContext(context.Background(), "warm"); err != nil { // the server has accepted it when it answers
			t.Fatal(err)
		}
		conns[i] = c
	}
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// eventually polls until ok, and fails after five seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// awaitDeaths waits until the guards of all connections to the server have seen them end, which takes microseconds.
func (s *server) awaitDeaths(t *testing.T) {
	t.Helper()
	eventually(t, "the guards see that the server has closed", func() bool {
		for _, g := range guard.Live() {
			if a := g.RemoteAddr(); a != nil && a.String() == s.listener.Addr().String() && !g.Dead() {
				return false
			}
		}
		return true
	})
}

func within(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	begun := time.Now()
	f()
	if took := time.Since(begun); took > limit {
		t.Errorf("%s took %v, more than %v", what, took, limit)
	}
}
