//go:build linux

package e2e_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/faultlab/server"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

const followed = 2 * time.Second // from a change of role to the first write that succeeds

// front is an address whose new connections lead to another server when it is told so; old ones stay where they are.
type front struct {
	listener net.Listener
	target   atomic.Pointer[string]
	wg       sync.WaitGroup
}

func newFront(t *testing.T, to *server.Server) *front {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{listener: l}
	f.lead(to)
	f.wg.Go(f.serve)
	t.Cleanup(func() {
		_ = l.Close()
		f.wg.Wait() // its clients have closed
	})
	return f
}

func (f *front) lead(to *server.Server) {
	addr := to.Addr()
	f.target.Store(&addr)
}

func (f *front) serve() {
	for {
		in, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.wg.Go(func() { relay(in, *f.target.Load()) })
	}
}

func relay(in net.Conn, to string) {
	defer func() { _ = in.Close() }()
	var d net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), callMost)
	defer cancel()
	out, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
	_, _ = io.Copy(in, out)
	_ = in.Close()
	wg.Wait()
}

// prepare makes a table, and an account that may not write to a read-only server.
func prepare(t *testing.T, s *server.Server) *sql.DB {
	t.Helper()
	boss := operator(t, s)
	if s.Kind == server.PostgreSQL {
		do(t, boss, "CREATE ROLE app LOGIN")
		do(t, boss, "CREATE TABLE w (id INT)")
		do(t, boss, "GRANT ALL ON w TO app")
		return boss
	}
	do(t, boss, "CREATE USER app@'%'")
	do(t, boss, "GRANT SELECT, INSERT ON herz.* TO app@'%'")
	do(t, boss, "CREATE TABLE w (id INT)")
	return boss
}

// demote makes a server read-only, promote makes it writable.
func demote(t *testing.T, k server.Kind, boss *sql.DB)  { t.Helper(); role(t, k, boss, "on") }
func promote(t *testing.T, k server.Kind, boss *sql.DB) { t.Helper(); role(t, k, boss, "off") }

func role(t *testing.T, k server.Kind, boss *sql.DB, readOnly string) {
	t.Helper()
	if k == server.MariaDB {
		do(t, boss, "SET GLOBAL read_only = "+readOnly)
		return
	}
	do(t, boss, "ALTER SYSTEM SET default_transaction_read_only = "+readOnly)
	do(t, boss, "SELECT pg_reload_conf()")
}

func (m mode) openApp(t *testing.T, k server.Kind, addr string, o ...herzsql.Option) *sql.DB {
	t.Helper()
	dsn := fmt.Sprintf("app@tcp(%s)/herz", addr)
	if k == server.PostgreSQL {
		dsn = fmt.Sprintf("postgres://app@%s/postgres?sslmode=disable", addr)
	}
	o = append(o, herzsql.WithName(t.Name()), herzsql.WithLimits(pool.Limits{MaxOpen: connections}))
	db, err := m.open(k.Driver(), dsn, o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// write writes one row, within a second.
func write(t *testing.T, db *sql.DB) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := db.ExecContext(ctx, "INSERT INTO w VALUES (1)")
	return err
}

func rows(t *testing.T, boss *sql.DB) int {
	t.Helper()
	return number(t, boss, "SELECT COUNT(*) FROM w")
}

func TestDemotedServerIsLeftForTheOneThatItsAddressLeadsTo(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		before, after := start(t, k, server.Options{}), start(t, k, server.Options{})
		boss, next := prepare(t, before), prepare(t, after)
		at := newFront(t, before)
		db := m.openApp(t, k, at.listener.Addr().String())
		fill(t, db, connections)
		if err := write(t, db); err != nil {
			t.Fatal(err)
		}

		at.lead(after)
		demote(t, k, boss)
		demoted, refused := time.Now(), 0
		if !within(10*time.Second, func() bool {
			err := write(t, db)
			if err != nil {
				refused++
			}
			return err == nil && rows(t, next) > 0 // a session may hear of the demotion a little later
		}) {
			t.Fatal("no write succeeded within 10 s")
		}
		took := time.Since(demoted)
		t.Logf("figures: %d writes refused, the first succeeded after %v", refused, took.Round(time.Millisecond))
		if took > followed || refused > 2 {
			t.Errorf("the first write succeeded after %v and %d refused ones; want within %v and at most 2", took, refused, followed)
		}
		for range 2 * connections {
			if err := write(t, db); err != nil {
				t.Errorf("a write after that: %v", err)
			}
		}
		// A write whose second ran out may have been executed; it counts among the refused.
		if n, want := rows(t, next), 2*connections+1; n < want || n > want+refused {
			t.Errorf("%d rows on the new server, want %d, and %d more at most", n, want, refused)
		}
	})
}

func TestReplicaIsNoServerWhereAWritableOneIsRequired(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		s := start(t, k, server.Options{})
		boss := prepare(t, s)
		db, replica := m.openApp(t, k, s.Addr(), herzsql.RequireWritable()), m.openApp(t, k, s.Addr(), herzsql.RequireReplica())
		wrong := func(db *sql.DB) bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var e *herzsql.RoleError
			return errors.As(db.PingContext(ctx), &e)
		}
		if err := write(t, db); err != nil || !wrong(replica) {
			t.Errorf("on a writable server: write %v; a replica is required, and it was taken for one: %t", err, !wrong(replica))
		}
		demote(t, k, boss)
		if !within(followed, func() bool { return write(t, db) != nil && wrong(db) }) {
			t.Error("a demoted server is still taken for a writable one after 2 s")
		}
		if !within(followed, func() bool { return replica.PingContext(t.Context()) == nil }) {
			t.Errorf("a demoted server is no replica after 2 s: %v", replica.PingContext(t.Context()))
		}
		promote(t, k, boss)
		promoted := time.Now()
		if !within(10*time.Second, func() bool { return write(t, db) == nil }) || time.Since(promoted) > followed {
			t.Errorf("the first write after the promotion succeeded after %v, want within %v", time.Since(promoted), followed)
		}
	})
}

func TestServersOfBothProductsTellWhoTheyAre(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		s := start(t, k, server.Options{})
		boss := prepare(t, s)
		db := m.openApp(t, k, s.Addr(), herzsql.RequireWritable()) // which an application's account may ask
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatalf("an account without rights cannot ask for the role: %v", err)
		}
		demote(t, k, boss)
		within(followed, func() bool { return db.PingContext(t.Context()) != nil || write(t, db) != nil })
		var e *herzsql.RoleError
		if !within(followed, func() bool { return errors.As(db.PingContext(t.Context()), &e) }) {
			t.Fatal("the server was demoted, and it does not say so")
		}
		t.Logf("figures: %v", e.Server)
		if e.Server.Name == "" || !e.Server.ReadOnly || !e.SafeToRetry() || e.Peer != s.Addr() {
			t.Errorf("%+v: want a name, read-only, safe to retry and the peer %s", e, s.Addr())
		}
		if left := herzsql.Source(db).Deaths(); !endedFor(left, conn.Identity) {
			t.Errorf("the record says %s, want a change of identity", causes(left))
		}
	})
}

func endedFor(deaths []conn.Death, cause conn.Cause) bool {
	for i := range deaths {
		if deaths[i].Cause == cause {
			return true
		}
	}
	return false
}
