package herzgrpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzgrpc"
)

// budget is what may pass between a black hole and a call that succeeds.
const budget = 3500 * time.Millisecond

// blackHole drops every packet between a server's end and that of its client, in both directions.
func blackHole(server *net.TCPConn) error {
	err := deaf(server)
	for _, g := range guard.Live() {
		if i := g.Info(); i.Local == server.RemoteAddr().String() && i.Peer == server.LocalAddr().String() {
			return errors.Join(err, deaf(g.Inner().(*net.TCPConn)))
		}
	}
	return errors.Join(err, errors.New("its client has no guard"))
}

// deaf makes the kernel drop every packet that arrives at s, so that nothing is acknowledged, read or reset.
func deaf(s *net.TCPConn) error {
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	prog := unix.SockFprog{Len: 1, Filter: &drop[0]}
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog)
	})
	return errors.Join(err, set)
}

// secure gives options of both ends for TLS.
func secure(t *testing.T) (grpc.ServerOption, grpc.DialOption) {
	t.Helper()
	web := httptest.NewTLSServer(nil)
	web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	return grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12})),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12}))
}

// recovery calls every 100 ms, with a second's patience, and tells how long after the beginning the first call succeeded.
func recovery(t *testing.T, stub testpb.TestServiceClient) time.Duration {
	t.Helper()
	begun, done := time.Now(), make(chan time.Duration, 1)
	var all sync.WaitGroup
	defer all.Wait()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for time.Since(begun) < patience {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if ask(ctx, stub, "") == nil {
				select {
				case done <- time.Since(begun):
				default:
				}
			}
		})
		select {
		case took := <-done:
			return took
		case <-tick.C:
		}
	}
	t.Fatalf("no call succeeded within %v", patience)
	return 0
}

func TestBlackHoleIsLeftWithinTheBudget(t *testing.T) {
	t.Parallel()
	type fault struct {
		tls, idle bool
	}
	for name, f := range map[string]fault{"calls in flight": {}, "idle, then calls": {idle: true}, "TLS": {tls: true}, "TLS, idle, then calls": {tls: true, idle: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var of []grpc.ServerOption
			var own []grpc.DialOption
			if f.tls {
				s, c := secure(t)
				of, own = append(of, s), append(own, c)
			}
			s := start(t, of...)
			c := client(t, herzgrpc.Config{})
			stub := dial(t, c, s.addr(), own...)
			for range 5 {
				must(t, ask(within(t, patience), stub, ""))
			}
			hung := make(chan error, 1)
			if f.idle {
				hung <- nil
			} else {
				go func() { hung <- ask(within(t, patience), stub, "hold") }()
				eventually(t, "the call is with the server", func() bool { return s.executed.Load() == 6 })
			}
			if !possible(t, blackHole(s.ln.conns()[0])) {
				close(s.hold)
				return
			}
			if took := recovery(t, stub); took > budget {
				t.Errorf("recovered after %v", took)
			} else {
				t.Log("recovered after", took.Round(time.Millisecond))
			}
			if err := <-hung; !f.idle && (status.Code(err) != codes.Unavailable || !errors.Is(err, guard.ErrAmbiguous)) {
				t.Errorf("the call in the hole: %v", err)
			}
			if n := c.Stats().Ended[conn.Unacked] + c.Stats().Ended[conn.KeepAlive]; n != 1 {
				t.Errorf("ended: %v", c.Stats().Ended)
			}
		})
	}
}

// A stream on which nothing was said for long is told as soon as a call is: what came before says nothing of it.
func TestBlackHoleEndsAStreamThatOnlyListens(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := client(t, herzgrpc.Config{Logger: quiet(), Guard: guard.Options{HeartbeatTimeout: guard.MinHeartbeatTimeout}})
	stream, err := dial(t, c, s.addr()).FullDuplexCall(within(t, time.Minute))
	must(t, err)
	must(t, stream.Send(&testpb.StreamingOutputCallRequest{}))
	_, err = stream.Recv()
	must(t, err)
	time.Sleep(2*guard.MinHeartbeatTimeout + 500*time.Millisecond) // longer than what came is taken for the begin of more
	if !possible(t, blackHole(s.ln.conns()[0])) {
		return
	}
	begun := time.Now()
	_, err = stream.Recv()
	if took := time.Since(begun); took > budget || status.Code(err) != codes.Unavailable {
		t.Errorf("after %v: %v", took, err)
	}
}

// While nothing runs on a channel its connections are left in peace.
func TestChannelAtRestIsNotProbed(t *testing.T) {
	t.Parallel()
	s := start(t)
	stub := dial(t, client(t, herzgrpc.Config{Name: "at rest"}), s.addr())
	for range 50 {
		must(t, ask(within(t, patience), stub, ""))
	}
	var g *guard.Conn
	for _, one := range guard.Live() {
		if one.Info().Pool == "at rest" {
			g = one
		}
	}
	if g == nil {
		t.Fatal("no guarded connection")
	}
	eventually(t, "keep-alive is the dialer's own", func() bool {
		seconds := 0
		raw, err := g.Inner().(*net.TCPConn).SyscallConn()
		must(t, err)
		must(t, raw.Control(func(fd uintptr) { seconds, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE) }))
		must(t, err)
		return seconds > 1
	})
}

// heal undoes blackHole.
func heal(t *testing.T, server *net.TCPConn, g *guard.Conn) {
	t.Helper()
	for _, s := range []*net.TCPConn{g.Inner().(*net.TCPConn), server} {
		raw, err := s.SyscallConn()
		must(t, err)
		var set error
		must(t, raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) }))
		must(t, set)
	}
}

// An outage of 1.5 s is ridden out: no connection ends, and no call fails, although more are made meanwhile.
func TestShortOutageEndsNoConnection(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := client(t, herzgrpc.Config{Name: "short outage", Retries: -1})
	stub := dial(t, c, s.addr())
	must(t, ask(within(t, patience), stub, ""))
	var g *guard.Conn
	for _, one := range guard.Live() {
		if one.Info().Pool == "short outage" {
			g = one
		}
	}
	if !possible(t, blackHole(s.ln.conns()[0])) {
		return
	}
	var all sync.WaitGroup
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < 1500*time.Millisecond; <-tick.C {
		all.Go(func() {
			if err := ask(within(t, patience), stub, ""); err != nil {
				t.Errorf("a call in the outage: %v", err)
			}
		})
	}
	heal(t, s.ln.conns()[0], g)
	all.Wait()
	if n := c.Stats(); n.Dials != 1 || n.Open != 1 {
		t.Errorf("%+v", n)
	}
}
