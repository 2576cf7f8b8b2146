//go:build linux

package e2e_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/faultlab/netns"
	"herz.example/herz/faultlab/server"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

func TestRestartOfTheServerSurfacesNoErrorOnIdleConnections(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		s := start(t, k, server.Options{})
		db := m.openDB(t, s, pool.Limits{})
		fill(t, db, connections)
		time.Sleep(idle)
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		survive(t, db)
	})
}

func TestIdleTimeOutOfTheServerSurfacesNoError(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		timeout := map[server.Kind]string{server.MariaDB: "wait_timeout=1", server.PostgreSQL: "idle_session_timeout=1s"}[k]
		s := start(t, k, server.Options{Settings: []string{timeout}})
		db := m.openDB(t, s, pool.Limits{})
		look := operator(t, s)
		fill(t, db, connections)
		if !within(10*time.Second, func() bool { return sessions(t, k, look) == 0 }) {
			t.Fatalf("with %s the server still has sessions after 10 s", timeout)
		}
		survive(t, db)
	})
}

func TestBlackHoleSurfacesNoErrorOnIdleConnections(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		n := netns.New(t)
		s := start(t, k, server.Options{IP: n.IP(), Enter: n.Do})
		db, plain := m.openDB(t, s, pool.Limits{}), stock(t, s)
		fill(t, db, connections)
		fill(t, plain, connections)
		time.Sleep(idle)
		fell, err := n.BlackHole(s.Port)
		if err != nil || fell < 2*connections {
			t.Fatalf("BlackHole = %d, %v; want at least the %d idle connections", fell, err, 2*connections)
		}
		control := make(chan call, 1)
		go func() { control <- askWithin(t, plain, 5*time.Second) }()
		survive(t, db)
		says(t, m, db, "not even its kernel acknowledged")

		c := <-control
		t.Logf("figures: control, the same without Herz: %v after %v", c.err, c.took.Round(time.Millisecond))
		if c.err == nil {
			t.Errorf("control: without Herz a call came through after %v, so that the hole was none", c.took)
		}
		heal(t, n)
	})
}

// A peer that vanished and came back without its state answers the next packet by a RST; until then nothing can be seen.
func TestHalfOpenConnectionsSurfaceNoError(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		n := netns.New(t)
		s := start(t, k, server.Options{IP: n.IP(), Enter: n.Do})
		db, plain := m.openDB(t, s, pool.Limits{}), stock(t, s)
		fill(t, db, connections)
		fill(t, plain, connections)
		time.Sleep(idle)
		if _, err := n.BlackHole(s.Port); err != nil {
			t.Fatal(err)
		}
		if err := s.Kill(); err != nil { // its FINs fall into the hole
			t.Fatal(err)
		}
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		if err := n.Forget(s.Port); err != nil {
			t.Fatal(err)
		}
		heal(t, n)
		survive(t, db)
		for _, d := range herzsql.Source(db).Deaths() {
			if d.Cause != conn.PeerRST {
				t.Errorf("a half-open connection ended otherwise than by a reset: %v", d)
			}
		}

		failed := 0
		for _, c := range askTogether(t, plain, connections) {
			if c.err != nil {
				failed++
			}
		}
		t.Logf("figures: control, the same without Herz: %d of %d calls failed", failed, connections)
		if k == server.MariaDB && failed == 0 { // pgx pings by itself
			t.Error("control: without Herz no call failed, so that the connections were not half-open")
		}
	})
}

// askWithin asks under a deadline.
func askWithin(t *testing.T, db *sql.DB, most time.Duration) call {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	began := time.Now()
	var one int
	err := db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	return call{time.Since(began), err}
}

// says checks that the record of a ping that was not answered tells the path from the process. In pooled mode the record is that
// of the pool, which cuts such a ping short while somebody waits.
func says(t *testing.T, m mode, db *sql.DB, words string) {
	t.Helper()
	if m.name == pooled.name {
		words = "cut short because somebody waited"
	}
	for _, d := range herzsql.Source(db).Deaths() {
		if d.Cause == conn.Heartbeat && strings.Contains(d.Detail, words) {
			return
		}
	}
	t.Errorf("no death says %q: %v", words, herzsql.Source(db).Deaths())
}

// heal closes the hole, so that drivers which still wait in it hear the end of the server.
func heal(t *testing.T, n *netns.NS) {
	t.Helper()
	if err := n.Heal(); err != nil {
		t.Error(err)
	}
}
