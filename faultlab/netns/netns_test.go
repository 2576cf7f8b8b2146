//go:build linux

package netns_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/faultlab/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo listens inside the namespace and gives back what it reads.
func echo(t *testing.T, n *netns.NS) *net.TCPAddr {
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
			go func() { _, _ = io.Copy(nc, nc) }()
		}
	}()
	return ln.Addr().(*net.TCPAddr)
}

func dial(t *testing.T, to *net.TCPAddr) net.Conn {
	t.Helper()
	nc, err := net.DialTimeout("tcp4", to.String(), 3*time.Second)
	if err != nil {
		t.Fatalf("dial into the namespace: %v", err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

func roundTrip(nc net.Conn, within time.Duration) error {
	if err := nc.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := nc.Write([]byte("ping")); err != nil {
		return err
	}
	_, err := io.ReadFull(nc, make([]byte, 4))
	return err
}

func TestBlackHoleSwallowsTheFlowsThatAreThereAndNoOthers(t *testing.T) {
	n := netns.New(t)
	to := echo(t, n)
	old := dial(t, to)
	if err := roundTrip(old, 3*time.Second); err != nil {
		t.Fatalf("before the hole: %v", err)
	}
	fell, err := n.BlackHole(to.Port)
	if err != nil || fell != 1 {
		t.Fatalf("BlackHole = %d, %v; want the one connection", fell, err)
	}
	if err := roundTrip(old, 700*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("in the hole: %v; want silence until the deadline", err)
	}
	if err := roundTrip(dial(t, to), 3*time.Second); err != nil {
		t.Fatalf("a new connection: %v", err)
	}
	if err := n.Heal(); err != nil {
		t.Fatal(err)
	}
	if err := roundTrip(old, 5*time.Second); err != nil {
		t.Fatalf("after the hole was closed: %v", err)
	}
}

// A kernel that goes on to send the FIN of a server that died would tell its clients when the path heals.
func TestForgottenConnectionStaysHalfOpenWhenThePathHeals(t *testing.T) {
	n := netns.New(t)
	var ln net.Listener
	if err := n.Do(func() (err error) {
		ln, err = net.Listen("tcp4", net.JoinHostPort(n.IP(), "0"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	to := ln.Addr().(*net.TCPAddr)
	client := dial(t, to)
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if fell, err := n.BlackHole(to.Port); err != nil || fell != 1 {
		t.Fatalf("BlackHole = %d, %v; want the one connection", fell, err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Forget(to.Port); err != nil {
		t.Fatal(err)
	}
	if err := n.Heal(); err != nil {
		t.Fatal(err)
	}
	// The FIN was sent at once, after some 0.2 s and after some 0.6 s; the next would come within another 0.8 s.
	if err := client.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read on the half-open connection: %v; want silence", err)
	}
	if err := roundTrip(client, 3*time.Second); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a request on it: %v; want a reset", err)
	}
}

func TestTwoNamespacesLiveSideBySide(t *testing.T) {
	a, b := netns.New(t), netns.New(t)
	for _, n := range []*netns.NS{a, b} {
		if err := roundTrip(dial(t, echo(t, n)), 3*time.Second); err != nil {
			t.Errorf("%s: %v", n.IP(), err)
		}
	}
	fell, err := a.BlackHole(1)
	if err != nil || fell != 0 {
		t.Errorf("BlackHole of a port that nobody serves = %d, %v", fell, err)
	}
}

func TestVanishedPortAnswersNobodyUntilItIsHealed(t *testing.T) {
	n := netns.New(t)
	to := echo(t, n)
	if err := n.Vanish(to.Port); err != nil {
		t.Fatal(err)
	}
	if nc, err := net.DialTimeout("tcp4", to.String(), 300*time.Millisecond); err == nil {
		nc.Close()
		t.Error("a port that has vanished was reached")
	} else if e, ok := err.(net.Error); !ok || !e.Timeout() {
		t.Errorf("dial: %v; want silence until the time-out", err)
	}
	if err := n.Heal(); err != nil {
		t.Fatal(err)
	}
	if err := roundTrip(dial(t, to), 3*time.Second); err != nil {
		t.Errorf("after the healing: %v", err)
	}
}
