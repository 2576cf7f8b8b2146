package guard_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// Bytes that nobody asked for decide nothing: they may be a notice, a ticket, or the peer's last words before its FIN.
func TestUnsolicitedBytesAreNoDeath(t *testing.T) {
	nc, g, s := pair(t, guard.SQL)
	io.WriteString(s, "notice")
	quiet()
	if err := g.Alive(); err != nil {
		t.Fatalf("unread bytes were taken for a death: %v", err)
	}
	if _, err := io.WriteString(nc, "request"); err != nil {
		t.Fatal(err)
	}
	if n, err := io.ReadFull(nc, make([]byte, 6)); n != 6 || err != nil {
		t.Errorf("a probe took bytes away: %d, %v", n, err)
	}
}

// Where the peer speaks only when it was asked, the next user would take such bytes for its own answer.
func TestBytesThatNobodyAskedForAreNotReadByTheNextUser(t *testing.T) {
	options := guard.SQL
	options.ReplyOnly = true
	nc, g, s := pair(t, options)
	io.WriteString(nc, "request")
	must(io.ReadFull(s, make([]byte, 7)))
	io.WriteString(s, "answer")
	quiet()
	g.Begin()
	if err := g.Alive(); err == nil {
		t.Fatal("a connection is lent in whose socket an answer lies")
	}
	wantDead(t, g.Alive(), conn.Error, true)
	if n, err := nc.Write([]byte("next")); n != 0 || err == nil {
		t.Errorf("the next request was sent: %d, %v", n, err)
	}
}

func TestAnswerThatIsAwaitedIsNoUnaskedOne(t *testing.T) {
	options := guard.SQL
	options.ReplyOnly = true
	nc, g, s := pair(t, options)
	io.WriteString(nc, "request")
	must(io.ReadFull(s, make([]byte, 7)))
	io.WriteString(s, "answer")
	quiet()
	if err := g.Alive(); err != nil {
		t.Errorf("an answer that nobody has read yet was taken for a late one: %v", err)
	}
	must(io.ReadFull(nc, make([]byte, 6)))
	quiet()
	if err := g.Alive(); err != nil {
		t.Errorf("after the answer: %v", err)
	}
}

// A connection whose sending side somebody closed behind the guard's back (the article's FIN_WAIT_2) looks alive to poll and
// to a read. TCP_INFO sees it.
func TestHalfCloseBehindTheGuardIsFound(t *testing.T) {
	_, g, _ := pair(t, guard.SQL)
	err := must(g.Inner().(*net.TCPConn).SyscallConn()).Control(func(fd uintptr) {
		if err := unix.Shutdown(int(fd), unix.SHUT_WR); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // TCP_INFO is asked after a second of silence
	d := wantDead(t, g.Alive(), conn.Misuse, true)
	if !strings.Contains(d.Error(), "FIN_WAIT_2") {
		t.Errorf("%q does not name the state", d.Error())
	}
}

// Between two requests in quick succession the kernel is not asked; after ProbeAfter of silence it is.
func TestKernelIsAskedAfterSilenceOnly(t *testing.T) {
	nc, _, s := pair(t, guard.SQL)
	// A guard of its own over the same socket has no watcher, so that only the probe can find the death.
	g := guard.Wrap(struct{ *net.TCPConn }{innerTCP(nc)}, guard.Options{ProbeAfter: 300 * time.Millisecond})
	defer g.Close()
	if g.Capabilities().Watcher {
		t.Fatal("the same socket is in the set twice")
	}
	s.Close()
	time.Sleep(20 * time.Millisecond)
	if err := g.Alive(); err != nil {
		t.Errorf("asked before ProbeAfter: %v", err)
	}
	time.Sleep(300 * time.Millisecond)
	wantDead(t, g.Alive(), conn.PeerFIN, true)
}

func innerTCP(nc net.Conn) *net.TCPConn {
	g, _ := guard.From(nc)
	return g.Inner().(*net.TCPConn)
}

// A peer that lost its state (a restarted host) answers by RST: to a request, and to a keep-alive probe. Neither is taken for a
// path that went dark.
func TestHalfOpenPeerIsAReset(t *testing.T) {
	for _, asked := range []bool{true, false} {
		nc, g, s := pair(t, guard.Options{ListenKeepAlive: !asked})
		if !possible(t, vanish(s), "close a socket in repair mode") {
			return
		}
		if asked {
			io.WriteString(nc, "request")
			wantAmbiguous(t, readByte(nc), conn.PeerRST, syscall.ECONNRESET)
		}
		eventually(t, "death is known", g.Dead)
		if d, _ := g.Death(); d.Cause != conn.PeerRST {
			t.Errorf("asked %v: death %v, want PeerRST", asked, d)
		}
	}
}

// vanish closes s without a word to its peer.
func vanish(s *net.TCPConn) error {
	var err error
	cerr := must(s.SyscallConn()).Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, 1)
	})
	if err = errors.Join(cerr, err); err != nil {
		return err
	}
	return s.Close()
}
