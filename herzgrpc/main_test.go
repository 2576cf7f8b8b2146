package herzgrpc_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"herz.example/herz/herzgrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what has to happen at some time.
const patience = 20 * time.Second

// service answers as the body of a request says.
type service struct {
	testpb.UnimplementedTestServiceServer

	executed atomic.Int64 // requests whose handler began
	hold     chan struct{}
}

func (s *service) UnaryCall(ctx context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	s.executed.Add(1)
	switch string(req.GetPayload().GetBody()) {
	case "unavailable":
		return nil, status.Error(codes.Unavailable, "the server says so")
	case "unavailable after a header":
		if err := grpc.SendHeader(ctx, metadata.Pairs("x", "y")); err != nil {
			return nil, err
		}
		return nil, status.Error(codes.Unavailable, "the server says so")
	case "deadline":
		return nil, status.Error(codes.DeadlineExceeded, "a deadline behind the server")
	case "hold":
		select {
		case <-s.hold:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	return &testpb.SimpleResponse{Payload: req.GetPayload()}, nil
}

func (s *service) FullDuplexCall(stream grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	s.executed.Add(1)
	for {
		req, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // the client is done
		}
		if string(req.GetPayload().GetBody()) == "unavailable" {
			return status.Error(codes.Unavailable, "the server says so")
		}
		if err := stream.Send(&testpb.StreamingOutputCallResponse{Payload: req.GetPayload()}); err != nil {
			return err
		}
	}
}

// listener keeps what it accepted, so that a test can break it.
type listener struct {
	net.Listener

	mu       sync.Mutex // guards accepted. Nothing is called under it.
	accepted []*net.TCPConn
}

func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.accepted = append(l.accepted, nc.(*net.TCPConn))
		l.mu.Unlock()
	}
	return nc, err
}

func (l *listener) conns() []*net.TCPConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*net.TCPConn(nil), l.accepted...)
}

func listen(t testing.TB, addr string) *listener {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return &listener{Listener: ln}
}

// server is a gRPC server of a test.
type server struct {
	*service
	ln   *listener
	grpc *grpc.Server
}

func serve(t testing.TB, ln *listener, opts ...grpc.ServerOption) *server {
	t.Helper()
	s := &server{service: &service{hold: make(chan struct{})}, ln: ln, grpc: grpc.NewServer(opts...)}
	testpb.RegisterTestServiceServer(s.grpc, s.service)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.grpc.Serve(ln)
	}()
	t.Cleanup(func() {
		s.grpc.Stop()
		<-done
	})
	return s
}

func (s *server) addr() string { return s.ln.Addr().String() }

// start gives a server on a free port.
func start(t testing.TB, opts ...grpc.ServerOption) *server {
	t.Helper()
	return serve(t, listen(t, "127.0.0.1:0"), opts...)
}

func client(t testing.TB, cfg herzgrpc.Config) *herzgrpc.Client {
	t.Helper()
	c, err := herzgrpc.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// dial gives a stub of a channel with the options of c. Further options win.
func dial(t testing.TB, c *herzgrpc.Client, target string, opts ...grpc.DialOption) testpb.TestServiceClient {
	t.Helper()
	all := append(c.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	cc, err := grpc.NewClient(target, append(all, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return testpb.NewTestServiceClient(cc)
}

// ask calls with a body that the service understands.
func ask(ctx context.Context, c testpb.TestServiceClient, body string, opts ...grpc.CallOption) error {
	_, err := c.UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: []byte(body)}}, opts...)
	return err
}

// within is a context of a test that ends.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// possible reports whether a fault could be made. Some kernels refuse it to ordinary users; then it is left out, and said to be. In CI, and for
// every other error, that is a failure.
func possible(t testing.TB, err error) bool {
	t.Helper()
	switch {
	case err == nil:
		return true
	case os.Getenv("CI") == "true" || !errors.Is(err, syscall.EPERM):
		t.Errorf("make a black hole: %v", err)
	default:
		t.Logf("left out, because this kernel refuses it to this user: %v", err)
	}
	return false
}

const (
	unaryMethod  = "grpc.testing.TestService/UnaryCall"
	duplexMethod = "grpc.testing.TestService/FullDuplexCall"
)

// counted is the one way in which calls of a method ended.
func counted(t testing.TB, c *herzgrpc.Client, method string, code codes.Code) herzgrpc.CallCount {
	t.Helper()
	var found []herzgrpc.CallCount
	for _, n := range c.Stats().Calls {
		if n.Method == method && n.Code == code {
			found = append(found, n)
		}
	}
	if len(found) != 1 {
		t.Fatalf("calls of %s with %v: %v", method, code, found)
	}
	return found[0]
}

// text has what a logger wrote.
type text struct {
	mu sync.Mutex // guards b. Nothing is called under it.
	b  strings.Builder
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}
