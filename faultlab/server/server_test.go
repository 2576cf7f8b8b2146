//go:build linux

package server_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/faultlab/netns"
	"herz.example/herz/faultlab/server"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := server.CleanUp(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

func open(t *testing.T, s *server.Server) *sql.DB {
	t.Helper()
	db, err := sql.Open(s.Kind.Driver(), s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func context10(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestDataOutlivesKillAndRestart(t *testing.T) {
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			s := server.Start(t, k, server.Options{})
			db := open(t, s)
			ctx := context10(t)
			for _, q := range []string{"CREATE TABLE kept (v INT)", "INSERT INTO kept VALUES (42)"} {
				if _, err := db.ExecContext(ctx, q); err != nil {
					t.Fatalf("%s: %v", q, err)
				}
			}
			addr := s.Addr()
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := db.PingContext(ctx); err == nil {
				t.Fatal("a killed server answers")
			}
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			var v int
			if err := db.QueryRowContext(ctx, "SELECT v FROM kept").Scan(&v); err != nil || v != 42 || s.Addr() != addr {
				t.Fatalf("after the restart on %s (before: %s): %d, %v", s.Addr(), addr, v, err)
			}
		})
	}
}

func TestFrozenServerAnswersOnlyAfterThaw(t *testing.T) {
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			s := server.Start(t, k, server.Options{})
			db := open(t, s)
			ctx := context10(t)
			if err := db.PingContext(ctx); err != nil {
				t.Fatal(err)
			}
			if err := s.Freeze(); err != nil {
				t.Fatal(err)
			}
			answered := make(chan error, 1)
			go func() { _, err := db.ExecContext(ctx, "SELECT 1"); answered <- err }()
			wait := time.NewTimer(300 * time.Millisecond)
			defer wait.Stop()
			select {
			case err := <-answered:
				t.Errorf("a frozen server answered: %v", err)
			case <-wait.C:
			}
			if err := s.Thaw(); err != nil {
				t.Fatal(err)
			}
			if err := <-answered; err != nil {
				t.Errorf("after the thaw: %v", err)
			}
		})
	}
}

func TestServerInANamespaceIsReachedFromTheHost(t *testing.T) {
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			n := netns.New(t)
			s := server.Start(t, k, server.Options{IP: n.IP(), Enter: n.Do})
			db := open(t, s)
			ctx := context10(t)
			c, err := db.Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if fell, err := n.BlackHole(s.Port); err != nil || fell != 1 {
				t.Fatalf("BlackHole = %d, %v; want the one connection", fell, err)
			}
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if _, err := c.ExecContext(short, "SELECT 1"); err == nil {
				t.Error("a query came back out of the hole")
			}
			if err := open(t, s).PingContext(ctx); err != nil {
				t.Errorf("a new connection: %v", err)
			}
			if err := n.Heal(); err != nil { // so that the end of the server is heard by what the driver still waits for
				t.Error(err)
			}
		})
	}
}

func TestNoServerRunsAsRoot(t *testing.T) {
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			s := server.Start(t, k, server.Options{})
			uids, err := s.UIDs()
			if err != nil || len(uids) == 0 {
				t.Fatalf("UIDs = %v, %v", uids, err)
			}
			for _, uid := range uids {
				if uid == 0 {
					t.Errorf("a process of %v runs as root", k)
				}
			}
		})
	}
}
