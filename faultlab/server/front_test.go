//go:build linux

package server_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"herz.example/herz/faultlab/server"
)

// session takes one connection of a database.
func session(t *testing.T, driver, dsn string) *sql.Conn {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c, err := db.Conn(context10(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func use(ctx context.Context, c *sql.Conn) error {
	var one int
	return c.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

const idleTime = 2 * time.Second

func rest() { time.Sleep(idleTime + 1500*time.Millisecond) }

func TestIdleTimeOutEndsAnIdleConnectionAndNoOther(t *testing.T) {
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			limited := server.Start(t, k, server.Options{IdleTimeout: idleTime})
			idle := session(t, k.Driver(), limited.DSN())
			if err := use(t.Context(), idle); err != nil {
				t.Fatal(err)
			}
			busy := session(t, k.Driver(), limited.DSN())
			for range 7 {
				if err := use(t.Context(), busy); err != nil {
					t.Fatalf("a connection in use: %v", err)
				}
				time.Sleep(500 * time.Millisecond)
			}
			if err := use(t.Context(), idle); err == nil {
				t.Error("a connection that was idle for 3.5 s lives, the time-out being 2 s")
			}
		})
	}
}

func TestHAProxyLeadsToEachServerInTurn(t *testing.T) {
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			a, b := server.Start(t, k, server.Options{}), server.Start(t, k, server.Options{})
			h := server.Start(t, server.HAProxy, server.Options{To: []string{a.Addr(), b.Addr()}})
			query := map[server.Kind]string{server.MariaDB: "SELECT @@port", server.PostgreSQL: "SELECT inet_server_port()"}[k]
			met := map[int]int{}
			for range 6 {
				var port int
				c := session(t, k.Driver(), a.DSNOf(server.Access{Addr: h.Addr()}))
				if err := c.QueryRowContext(context10(t), query).Scan(&port); err != nil {
					t.Fatal(err)
				}
				met[port]++
			}
			if met[a.Port] != 3 || met[b.Port] != 3 {
				t.Errorf("six clients met %v; want 3 at %d and 3 at %d", met, a.Port, b.Port)
			}
		})
	}
}

func TestHAProxyEndsIdleConnections(t *testing.T) {
	t.Parallel()
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			s := server.Start(t, k, server.Options{})
			h := server.Start(t, server.HAProxy, server.Options{To: []string{s.Addr()}, IdleTimeout: idleTime})
			dsn := s.DSNOf(server.Access{Addr: h.Addr()})
			idle := session(t, k.Driver(), dsn)
			if err := use(t.Context(), idle); err != nil {
				t.Fatal(err)
			}
			rest()
			if err := use(t.Context(), idle); err == nil {
				t.Error("a connection that was idle for 3.5 s lives, the time-out being 2 s")
			}
			if err := use(t.Context(), session(t, k.Driver(), dsn)); err != nil {
				t.Errorf("a new connection: %v", err)
			}
		})
	}
}

func TestPgBouncerEndsIdleClientsThatHoldNoServer(t *testing.T) {
	t.Parallel()
	s := server.Start(t, server.PostgreSQL, server.Options{})
	for _, c := range []struct {
		transaction bool
		ends        bool
	}{
		{true, true},
		{false, false}, // PgBouncer 1.18, janitor.c: clients that have a server are not looked at, and in session mode they keep it
	} {
		b := server.Start(t, server.PgBouncer, server.Options{To: []string{s.Addr()}, IdleTimeout: idleTime, Transaction: c.transaction})
		idle := session(t, "pgx", b.DSN()+"&default_query_exec_mode=simple_protocol")
		if err := use(t.Context(), idle); err != nil {
			t.Fatal(err)
		}
		rest()
		if err := use(t.Context(), idle); (err != nil) != c.ends {
			t.Errorf("transaction mode %t: after 3.5 s, the time-out being 2 s: %v", c.transaction, err)
		}
	}
}

func TestPgBouncerInTransactionModeSharesServersAmongClients(t *testing.T) {
	s := server.Start(t, server.PostgreSQL, server.Options{})
	pids := func(o server.Options) map[int]bool {
		o.To, o.Settings = []string{s.Addr()}, []string{"default_pool_size=2"}
		b := server.Start(t, server.PgBouncer, o)
		met := map[int]bool{}
		n := 2
		if o.Transaction {
			n = 6
		}
		for range n {
			c := session(t, "pgx", b.DSN()+"&default_query_exec_mode=simple_protocol")
			var pid int
			if err := c.QueryRowContext(context10(t), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
				t.Fatal(err)
			}
			met[pid] = true
		}
		return met
	}
	if shared := pids(server.Options{Transaction: true}); len(shared) > 2 {
		t.Errorf("six clients met %d servers; the pool has 2", len(shared))
	}
	if own := pids(server.Options{}); len(own) != 2 {
		t.Errorf("two clients met %d servers; in session mode each has its own", len(own))
	}
}

func redisSays(t *testing.T, s *server.Server, command string) (string, error) {
	t.Helper()
	nc, err := net.DialTimeout("tcp", s.Addr(), 2*time.Second)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(nc, command+"\r\n"); err != nil {
		return "", err
	}
	b := make([]byte, 256)
	n, err := nc.Read(b)
	return strings.TrimSpace(string(b[:n])), err
}

func TestRedisKeepsItsDataAndFreezesAndNeverRunsAsRoot(t *testing.T) {
	s := server.Start(t, server.Redis, server.Options{})
	for range 3 {
		if _, err := redisSays(t, s, "INCR n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if got, err := redisSays(t, s, "INCR n"); err != nil || got != ":4" {
		t.Errorf("after kill and restart: %q, %v", got, err)
	}
	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	if got, err := redisSays(t, s, "INCR n"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a frozen server said %q, %v", got, err)
	}
	if err := s.Thaw(); err != nil {
		t.Fatal(err)
	}
	uids, err := s.UIDs()
	if err != nil || len(uids) == 0 || uids[0] == 0 {
		t.Errorf("UIDs = %v, %v", uids, err)
	}
}

func answers(addr string) bool {
	nc, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	nc.Close()
	return true
}
