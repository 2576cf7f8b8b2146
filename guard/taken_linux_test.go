package guard_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// The kernel hands an error out once. When a read that is under way has just taken it, a look at the socket sees an end without an error, which a FIN is too.
func TestResetWhoseErrorACallHasTakenIsNoFIN(t *testing.T) {
	ln := listen(t, "tcp", "127.0.0.1:0")
	nc := must(net.Dial("tcp", ln.Addr().String()))
	defer nc.Close()
	far := must(ln.Accept()).(*net.TCPConn)
	if err := far.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	raw := must(nc.(*net.TCPConn).SyscallConn())
	taken := 0
	for limit := time.Now().Add(5 * time.Second); taken == 0 && time.Now().Before(limit); {
		if err := raw.Control(func(fd uintptr) { taken = must(unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)) }); err != nil {
			t.Fatal(err)
		}
	}
	if unix.Errno(taken) != unix.ECONNRESET {
		t.Fatalf("the socket had error %d, not a reset", taken)
	}
	g := guard.Wrap(nc, guard.Options{})
	defer g.Close()
	eventually(t, "death is known", g.Dead)
	if d, _ := g.Death(); d.Cause != conn.PeerRST {
		t.Errorf("death %v, want PeerRST", d)
	}
}
