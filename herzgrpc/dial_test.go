package herzgrpc_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/test/bufconn"

	"herz.example/herz/guard"
	"herz.example/herz/herzgrpc"
)

// serveOn serves on any listener until the test ends.
func serveOn(t *testing.T, ln net.Listener) *service {
	t.Helper()
	s := &service{hold: make(chan struct{})}
	g := grpc.NewServer()
	testpb.RegisterTestServiceServer(g, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(ln)
	}()
	t.Cleanup(func() { g.Stop(); <-done })
	return s
}

// guardedBy reports whether an open guarded connection has the name.
func guardedBy(name string) bool {
	for _, g := range guard.Live() {
		if g.Info().Pool == name {
			return true
		}
	}
	return false
}

func TestUnixSocketsAreReachedAndGuarded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	must(t, err)
	serveOn(t, ln)
	for _, target := range []string{"unix:" + path, "unix://" + path} {
		c := client(t, herzgrpc.Config{Name: target})
		must(t, ask(within(t, patience), dial(t, c, target), ""))
		if !guardedBy(target) || c.Stats().Open != 1 {
			t.Errorf("%s: not guarded, or not counted: %+v", target, c.Stats())
		}
	}
}

// A dialer of the application is given what gRPC would dial, and what it gives is guarded, whatever it is.
func TestOwnDialerIsGuarded(t *testing.T) {
	t.Parallel()
	ln := bufconn.Listen(1 << 16)
	s := serveOn(t, ln)
	var asked atomic.Pointer[string]
	c := client(t, herzgrpc.Config{Name: "own dialer", Retries: -1, Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		what := network + " " + addr
		asked.Store(&what)
		return ln.DialContext(ctx)
	}})
	stub := dial(t, c, "passthrough:///orders.test:1")
	must(t, ask(within(t, patience), stub, ""))
	if got := *asked.Load(); got != "tcp orders.test:1" || !guardedBy("own dialer") {
		t.Errorf("asked for %s", got)
	}
	result := make(chan error, 1)
	go func() { result <- ask(within(t, patience), stub, "hold") }()
	eventually(t, "the call is with the server", func() bool { return s.executed.Load() == 2 })
	for _, g := range guard.Live() {
		if g.Info().Pool == "own dialer" {
			must(t, g.Inner().Close())
		}
	}
	wantCall(t, c, unaryMethod, <-result, codes.Unavailable, herzgrpc.TransportLost)
}

func TestFailedDialNamesWhomItWasFor(t *testing.T) {
	t.Parallel()
	ln := listen(t, "127.0.0.1:0")
	must(t, ln.Close())
	c := once(t)
	err := ask(within(t, patience), dial(t, c, ln.Addr().String()), "")
	if err == nil || !strings.Contains(err.Error(), "connect to "+ln.Addr().String()) || !strings.Contains(err.Error(), "safe to repeat") {
		t.Error(err)
	}
	if n := c.Stats(); n.Dials == 0 || n.DialsFailed != n.Dials || n.Open != 0 {
		t.Errorf("%+v", n)
	}
}
