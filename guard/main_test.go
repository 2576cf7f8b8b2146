package guard_test

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen gives a listener that ends with the test.
func listen(t testing.TB, network, addr string) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), network, addr)
	if err != nil {
		t.Fatalf("listen on %s %s: %v", network, addr, err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// dialTo dials ln guarded and gives both ends. They are closed with the test.
func dialTo(t testing.TB, ln net.Listener, o guard.Options) (nc net.Conn, g *guard.Conn, server net.Conn) {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		s, err := ln.Accept()
		if err != nil {
			close(accepted)
			return
		}
		accepted <- s
	}()
	d := guard.Dialer{Options: o}
	nc, err := d.DialContext(context.Background(), ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	g, ok := guard.From(nc)
	if !ok {
		t.Fatalf("From(%T) found no guard", nc)
	}
	server = <-accepted
	if server == nil {
		t.Fatal("accept failed")
	}
	t.Cleanup(func() { nc.Close(); server.Close() })
	return nc, g, server
}

// pair gives a guarded TCP connection over IPv4 loopback and its other end.
func pair(t testing.TB, o guard.Options) (nc net.Conn, g *guard.Conn, server *net.TCPConn) {
	t.Helper()
	nc, g, s := dialTo(t, listen(t, "tcp", "127.0.0.1:0"), o)
	return nc, g, s.(*net.TCPConn)
}

// eventually waits, within a bound, for something that another goroutine or the kernel does.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	eventuallyIn(t, 5*time.Second, what, ok)
}

func eventuallyIn(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// readBlocks waits until a goroutine hangs in readByte. It is for tests that are not parallel: it takes any goroutine for the one.
func readBlocks(t testing.TB) {
	t.Helper()
	eventually(t, "the read blocks", func() bool {
		all := make([]byte, 1<<20)
		all = all[:runtime.Stack(all, true)]
		return slices.ContainsFunc(strings.Split(string(all), "\n\n"), func(g string) bool {
			return strings.Contains(g, " [IO wait") && strings.Contains(g, "guard_test.readByte(")
		})
	})
}

// quiet lets ProbeAfter pass.
func quiet() { time.Sleep(2 * guard.DefaultProbeAfter) }

// reset makes the server's end answer by RST when it closes.
func reset(t testing.TB, s *net.TCPConn) {
	t.Helper()
	if err := s.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// possible reports whether a fault could be made. Some kernels refuse it to ordinary users; then it is left out, and said to
// be. In CI, and for every other error, that is a failure.
func possible(t *testing.T, err error, what string) bool {
	t.Helper()
	switch {
	case err == nil:
		return true
	case os.Getenv("CI") == "true" || !errors.Is(err, syscall.EPERM):
		t.Errorf("%s: %v", what, err)
	default:
		t.Logf("left out, because this kernel refuses it to this user: %s: %v", what, err)
	}
	return false
}
