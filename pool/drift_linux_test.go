package pool_test

import (
	"context"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// Somebody closes the sending side behind the guard's back: no event tells of it, and poll does not see it.
func TestConnectionThatTheKernelHasGivenUpIsADrift(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := &guard.Dialer{}
	p, err := pool.New(pool.Config[net.Conn]{
		Dial:   func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", l.Addr().String()) },
		Limits: pool.Limits{MaxOpen: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var all []pool.Lease[net.Conn]
	for range 3 {
		lease, err := p.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, lease)
	}
	if n := p.Drift(); n != 0 {
		t.Fatalf("%d of three good connections drifted", n)
	}
	g, _ := guard.From(all[0].Value())
	raw, err := g.Inner().(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var shut error
	if err := raw.Control(func(fd uintptr) { shut = unix.Shutdown(int(fd), unix.SHUT_WR) }); err != nil || shut != nil {
		t.Fatal(err, shut)
	}
	if n := p.Drift(); n != 1 {
		t.Errorf("%d drifted, of one whose sending side is closed", n)
	}
	for _, lease := range all {
		lease.Discard(nil)
	}
	if n := p.Drift(); n != 0 {
		t.Errorf("%d drifted, of none that is open", n)
	}
}
