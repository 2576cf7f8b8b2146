//go:build linux

package netns_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"herz.example/herz/faultlab/netns"
)

// named listens inside the namespace and tells each client the name when it says anything.
func named(t *testing.T, n *netns.NS, name byte) netip.AddrPort {
	t.Helper()
	var ln net.Listener
	if err := n.Do(func() (err error) {
		ln, err = net.Listen("tcp4", net.JoinHostPort(n.IP(), "0"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { nc.Close() })
			go func() {
				b := make([]byte, 1)
				for {
					if _, err := io.ReadFull(nc, b); err != nil {
						return
					}
					if _, err := nc.Write([]byte{name}); err != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

func who(nc net.Conn, within time.Duration) (string, error) {
	if err := nc.SetDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	b := []byte("?")
	if _, err := nc.Write(b); err != nil {
		return "", err
	}
	_, err := io.ReadFull(nc, b)
	return string(b), err
}

func front(t *testing.T, r *netns.Router, port int) *net.TCPAddr {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp4", net.JoinHostPort(r.IP(), strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAddressThatMovesLeadsNewConnectionsToTheOtherServerAndCutsOldOnesWhenAsked(t *testing.T) {
	r := netns.NewRouter(t, 2)
	a, b := named(t, r.Behind(0), 'A'), named(t, r.Behind(1), 'B')
	if err := r.Lead(5432, a); err != nil {
		t.Fatal(err)
	}
	to := front(t, r, 5432)
	old := dial(t, to)
	direct := dial(t, net.TCPAddrFromAddrPort(a))
	if name, err := who(old, 3*time.Second); err != nil || name != "A" {
		t.Fatalf("before the move: %q, %v", name, err)
	}
	if err := r.Lead(5432, b); err != nil {
		t.Fatal(err)
	}
	if name, err := who(dial(t, to), 3*time.Second); err != nil || name != "B" {
		t.Errorf("a new connection after the move: %q, %v", name, err)
	}
	if name, err := who(old, 3*time.Second); err != nil || name != "A" {
		t.Errorf("the old connection after the move: %q, %v; it was to stay", name, err)
	}
	if flows, err := r.Flows(5432); err != nil || flows[a] != 1 || flows[b] != 1 {
		t.Errorf("Flows = %v, %v; want one to each", flows, err)
	}

	if err := r.CutOld(); err != nil {
		t.Fatal(err)
	}
	if _, err := who(old, 700*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the old connection after the cut: %v; want silence until the deadline", err)
	}
	if name, err := who(direct, 3*time.Second); err != nil || name != "A" {
		t.Errorf("a connection past the router's address: %q, %v", name, err)
	}
	if err := r.Lead(5432, a); err != nil { // and back
		t.Fatal(err)
	}
	if name, err := who(dial(t, to), 3*time.Second); err != nil || name != "A" {
		t.Errorf("a new connection after the move back: %q, %v", name, err)
	}
}

func TestAddressOfThreeServersLeadsToEachInTurn(t *testing.T) {
	r := netns.NewRouter(t, 3)
	servers := []netip.AddrPort{named(t, r.Behind(0), 'A'), named(t, r.Behind(1), 'B'), named(t, r.Behind(2), 'C')}
	if err := r.Lead(3306, servers...); err != nil {
		t.Fatal(err)
	}
	met := map[string]int{}
	for range 12 {
		nc := dial(t, front(t, r, 3306))
		first, err := who(nc, 3*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := who(nc, 3*time.Second); err != nil || again != first {
			t.Errorf("one connection met %s and then %s, %v", first, again, err)
		}
		met[first]++
	}
	for _, name := range []string{"A", "B", "C"} {
		if met[name] != 4 {
			t.Errorf("12 connections met %v; want 4 each", met)
		}
	}
	if flows, err := r.Flows(3306); err != nil || flows[servers[1]] != 4 {
		t.Errorf("Flows = %v, %v; want 4 to each", flows, err)
	}
}

func TestRouterRefusesWhatItCannotLead(t *testing.T) {
	for _, n := range []int{0, netns.MostBehind + 1} {
		if r, err := netns.OpenRouter(n); err == nil {
			r.Close()
			t.Errorf("a router with %d namespaces behind it was made", n)
		}
	}
	r := netns.NewRouter(t, 1)
	if err := r.Lead(5432); err == nil {
		t.Error("a port leads to nobody")
	}
	if err := r.CutOld(); err != nil {
		t.Errorf("cut, where nothing was ever led: %v", err)
	}
}

func TestSeveredNamespaceIsSilentInBothDirectionsAndServesItselfStill(t *testing.T) {
	n := netns.New(t)
	at := named(t, n, 'A')
	nc := dial(t, net.TCPAddrFromAddrPort(at))
	if _, err := who(nc, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := n.Sever(); err != nil {
		t.Fatal(err)
	}
	if _, err := who(nc, 500*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an old connection: %v; want silence", err)
	}
	if late, err := net.DialTimeout("tcp4", at.String(), 300*time.Millisecond); err == nil {
		late.Close()
		t.Error("a new connection came through")
	}
	var inside net.Conn
	if err := n.Do(func() (err error) {
		inside, err = net.DialTimeout("tcp4", at.String(), time.Second)
		return err
	}); err != nil {
		t.Errorf("a dial inside: %v", err)
	} else {
		inside.Close()
	}
	if err := n.Heal(); err != nil {
		t.Fatal(err)
	}
	if _, err := who(nc, 5*time.Second); err != nil {
		t.Errorf("after the healing: %v", err)
	}
}
