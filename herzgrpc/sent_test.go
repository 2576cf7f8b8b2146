package herzgrpc_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"herz.example/herz/herzgrpc"
)

// answersTwice is the address of a server on which UnaryCall is a method that sends two messages.
func answersTwice(t *testing.T) string {
	t.Helper()
	ln, g, done := listen(t, "127.0.0.1:0"), grpc.NewServer(), make(chan struct{})
	g.RegisterService(&grpc.ServiceDesc{ServiceName: "grpc.testing.TestService", Streams: []grpc.StreamDesc{{
		StreamName: "UnaryCall", ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
			return errors.Join(stream.RecvMsg(&testpb.SimpleRequest{}), stream.SendMsg(&testpb.SimpleResponse{}), stream.SendMsg(&testpb.SimpleResponse{}))
		},
	}}}, nil)
	go func() {
		defer close(done)
		_ = g.Serve(ln)
	}()
	t.Cleanup(func() { g.Stop(); <-done })
	return ln.Addr().String()
}

// gRPC does not end such a call, and so says nothing of its connection.
func TestCallThatIsAnsweredTwiceIsNotSafeToRepeat(t *testing.T) {
	t.Parallel()
	addr := answersTwice(t)
	c := once(t)
	err := ask(within(t, patience), dial(t, c, addr), "")
	wantCall(t, c, unaryMethod, err, codes.Internal, herzgrpc.Unanswered)
}

// faceless is a connection that does not know its peer.
type faceless struct{ net.Conn }

func (faceless) RemoteAddr() net.Addr { return nil }

func TestCallOverAConnectionWithoutAnAddressIsNotRepeatedAfterItWasSent(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := client(t, herzgrpc.Config{Logger: quiet(), Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return faceless{nc}, err
	}})
	stub := dial(t, c, s.addr())
	result := make(chan error, 1)
	go func() { result <- ask(within(t, patience/4), stub, "hold") }()
	eventually(t, "the server is at it", func() bool { return s.executed.Load() == 1 })
	must(t, s.ln.conns()[0].Close())
	wantCall(t, c, unaryMethod, <-result, codes.Unavailable, herzgrpc.TransportLost)
	if n := s.executed.Load(); n != 1 {
		t.Errorf("executed %d times", n)
	}
}

// gRPC watches the context of a stream in a goroutine, which may end the stream while Recv returns.
func TestErrorOfACancelledStreamAlwaysTellsItsClass(t *testing.T) {
	t.Parallel()
	s := start(t)
	stub := dial(t, once(t), s.addr())
	for n := range 1000 {
		ctx, cancel := context.WithCancel(context.Background())
		stream, err := stub.FullDuplexCall(ctx)
		must(t, err)
		must(t, stream.Send(&testpb.StreamingOutputCallRequest{}))
		_, err = stream.Recv()
		must(t, err)
		result := make(chan error, 1)
		go func() {
			_, err := stream.Recv()
			result <- err
		}()
		cancel()
		var e *herzgrpc.CallError
		if err := <-result; !errors.As(err, &e) || e.Class != herzgrpc.Unanswered {
			t.Fatalf("stream %d: %v", n, err)
		}
	}
}

// gRPC does not end such a stream before its context does.
func TestErrorOfAStreamThatIsAnsweredTwiceIsNotSafeToRepeat(t *testing.T) {
	t.Parallel()
	addr := answersTwice(t)
	cc, err := grpc.NewClient(addr, append(once(t).DialOptions(), plain())...)
	must(t, err)
	t.Cleanup(func() { cc.Close() })
	ctx, cancel := context.WithCancel(within(t, patience))
	defer cancel()
	stream, err := cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/grpc.testing.TestService/UnaryCall")
	must(t, err)
	must(t, stream.SendMsg(&testpb.SimpleRequest{}))
	must(t, stream.CloseSend())
	var e *herzgrpc.CallError
	if err := stream.RecvMsg(&testpb.SimpleResponse{}); !errors.As(err, &e) || e.Class != herzgrpc.Unanswered {
		t.Errorf("%v", err)
	}
}
