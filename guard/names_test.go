package guard_test

import (
	"context"
	"net"
	"testing"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herztest"
)

// dialName dials a listener by a name, guarded.
func dialName(t *testing.T, ln net.Listener, host string, o guard.Options) *guard.Conn {
	t.Helper()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			s, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { s.Close() })
		}
	}()
	d := guard.Dialer{Options: o}
	nc, err := d.DialContext(context.Background(), "tcp", net.JoinHostPort(host, port))
	if err != nil {
		t.Fatalf("dial %s: %v", host, err)
	}
	t.Cleanup(func() { nc.Close() })
	g, ok := guard.From(nc)
	if !ok {
		t.Fatal("no guard")
	}
	return g
}

func TestDialledNameThatMovesCondemnsItsConnections(t *testing.T) {
	ns := herztest.NewNameServer(t)
	ns.Set("db.test", "127.0.0.1")
	g := dialName(t, listen(t, "tcp", "127.0.0.1:0"), "db.test", guard.Options{Resolver: ns.Resolver(), ResolveEvery: guard.MinResolveEvery})
	if g.Name() != "db.test" {
		t.Fatalf("dialled by %q", g.Name())
	}
	if g.Alive() != nil {
		t.Fatal("condemned before the name moved")
	}
	ns.Set("db.test", "127.0.0.2")
	eventually(t, "the connection is condemned", func() bool { return g.Alive() != nil })
	wantDead(t, g.Alive(), conn.Identity, true)
	if g.Dead() {
		t.Error("the name moved, and the connection of somebody who uses it was cut")
	}
	g.Close()
	if d, _ := g.Death(); d.Cause != conn.Identity || d.Detail != "db.test no longer leads to "+d.Peer {
		t.Errorf("died of %v %q", d.Cause, d.Detail)
	}
}

func TestAddressInPlaceOfANameIsNotResolvedAgain(t *testing.T) {
	g := dialName(t, listen(t, "tcp", "127.0.0.1:0"), "127.0.0.1", guard.Options{})
	if g.Name() != "" {
		t.Errorf("watched as %q", g.Name())
	}
	ns := herztest.NewNameServer(t)
	ns.Set("db.test", "127.0.0.1")
	off := dialName(t, listen(t, "tcp", "127.0.0.1:0"), "db.test", guard.Options{Resolver: ns.Resolver(), ResolveEvery: -1})
	if off.Name() != "" {
		t.Errorf("watched as %q though ResolveEvery is negative", off.Name())
	}
}
