package herzgrpc_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"herz.example/herz/guard"
	"herz.example/herz/herzgrpc"
)

// once is a client that repeats nothing, so that a test sees each failure.
func once(t *testing.T) *herzgrpc.Client {
	t.Helper()
	return client(t, herzgrpc.Config{Retries: -1})
}

// wantCall checks how the calls of a method with a code were counted, and what their error says.
func wantCall(t *testing.T, c *herzgrpc.Client, method string, err error, code codes.Code, class herzgrpc.Class, states ...connectivity.State) {
	t.Helper()
	if status.Code(err) != code {
		t.Fatalf("%v; want the code %v", err, code)
	}
	n := counted(t, c, method, code)
	if n.Class != class || n.Calls != 1 {
		t.Errorf("%+v; want one of the class %v", n, class)
	}
	known := len(states) == 0
	for _, s := range states {
		known = known || n.State == s
	}
	if !known {
		t.Errorf("the channel was %v at the start; want one of %v", n.State, states)
	}
	if safe := guard.SafeToRetry(err); safe != (class == herzgrpc.NeverSent) {
		t.Errorf("SafeToRetry is %v of the class %v", safe, class)
	}
	if may := errors.Is(err, guard.ErrAmbiguous); may != (class == herzgrpc.TransportLost || class == herzgrpc.Unanswered) {
		t.Errorf("ErrAmbiguous is %v of the class %v", may, class)
	}
	var e *herzgrpc.CallError
	if ours := errors.As(err, &e); ours != (class != herzgrpc.FromServer) || ours && e.Class != class {
		t.Errorf("%v: a CallError is %v of the class %v", err, ours, class)
	}
}

func TestRefusedConnectionIsNeverSent(t *testing.T) {
	t.Parallel()
	ln := listen(t, "127.0.0.1:0")
	must(t, ln.Close())
	c := once(t)
	err := ask(within(t, patience), dial(t, c, ln.Addr().String()), "")
	wantCall(t, c, unaryMethod, err, codes.Unavailable, herzgrpc.NeverSent, connectivity.Idle)
}

func TestDeadlineThatEndsWhileConnectingIsNeverSent(t *testing.T) {
	t.Parallel()
	ln := listen(t, "127.0.0.1:0") // accepts, by its backlog, and says nothing
	c := once(t)
	stub := dial(t, c, ln.Addr().String())
	err := ask(within(t, 300*time.Millisecond), stub, "")
	wantCall(t, c, unaryMethod, err, codes.DeadlineExceeded, herzgrpc.NeverSent, connectivity.Idle)
	_ = ask(within(t, 300*time.Millisecond), stub, "")
	states := map[connectivity.State]uint64{}
	for _, n := range c.Stats().Calls {
		states[n.State] += n.Calls
	}
	if states[connectivity.Connecting] != 1 {
		t.Errorf("states at the start: %v; want the second to be CONNECTING", states)
	}
}

func TestStatusOfTheServerIsTheServers(t *testing.T) {
	t.Parallel()
	s := start(t)
	for body, code := range map[string]codes.Code{
		"unavailable": codes.Unavailable, "unavailable after a header": codes.Unavailable, "deadline": codes.DeadlineExceeded,
	} {
		c := once(t)
		stub := dial(t, c, s.addr())
		must(t, ask(within(t, patience), stub, ""))
		err := ask(within(t, patience), stub, body)
		wantCall(t, c, unaryMethod, err, code, herzgrpc.FromServer)
		if _, direct := err.(interface{ GRPCStatus() *status.Status }); !direct {
			t.Errorf("%q: %T is no status", body, err)
		}
	}
}

func TestCallKilledInTheMiddleIsLostByTheTransport(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]func(t *testing.T, nc *net.TCPConn){
		"FIN": func(t *testing.T, nc *net.TCPConn) { t.Helper(); must(t, nc.Close()) },
		"RST": func(t *testing.T, nc *net.TCPConn) { t.Helper(); must(t, nc.SetLinger(0)); must(t, nc.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			c := once(t)
			stub := dial(t, c, s.addr())
			result := make(chan error, 1)
			go func() { result <- ask(within(t, patience), stub, "hold") }()
			eventually(t, "the server is at it", func() bool { return s.executed.Load() == 1 })
			how(t, s.ln.conns()[0])
			wantCall(t, c, unaryMethod, <-result, codes.Unavailable, herzgrpc.TransportLost)
			eventually(t, "nothing runs any more", func() bool { return c.Stats().Running == 0 })
		})
	}
}

func TestCallThatItsCallerEndsIsUnanswered(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := once(t)
	stub := dial(t, c, s.addr())
	must(t, ask(within(t, patience), stub, ""))
	mute := dial(t, c, framed(t, func(*http2.Framer, uint32) error { return nil })) // a gRPC server may say that the deadline is over, too
	wantCall(t, c, unaryMethod, ask(within(t, 200*time.Millisecond), mute, ""), codes.DeadlineExceeded, herzgrpc.Unanswered)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel)
	wantCall(t, c, unaryMethod, ask(ctx, stub, "hold"), codes.Canceled, herzgrpc.Unanswered)
	err := ask(within(t, patience), stub, "too large to be sent", grpc.MaxCallSendMsgSize(4))
	wantCall(t, c, unaryMethod, err, codes.ResourceExhausted, herzgrpc.Unanswered, connectivity.Ready)
}

func TestStreamsAreClassifiedAsCallsAre(t *testing.T) {
	t.Parallel()
	s := start(t)
	open := func(
		c *herzgrpc.Client, ctx context.Context, opts ...grpc.DialOption,
	) grpc.BidiStreamingClient[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse] {
		t.Helper()
		stream, err := dial(t, c, s.addr(), opts...).FullDuplexCall(ctx)
		must(t, err)
		must(t, stream.Send(&testpb.StreamingOutputCallRequest{}))
		_, err = stream.Recv()
		must(t, err)
		return stream
	}
	t.Run("success", func(t *testing.T) {
		c := once(t)
		stream := open(c, within(t, patience))
		must(t, stream.CloseSend())
		if _, err := stream.Recv(); err == nil {
			t.Fatal("the stream goes on")
		}
		if n := counted(t, c, duplexMethod, codes.OK); n.Class != herzgrpc.FromServer || n.Calls != 1 {
			t.Errorf("%+v", n)
		}
	})
	t.Run("status of the server after messages", func(t *testing.T) {
		c := once(t)
		stream := open(c, within(t, patience))
		must(t, stream.Send(&testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: []byte("unavailable")}}))
		_, err := stream.Recv()
		wantCall(t, c, duplexMethod, err, codes.Unavailable, herzgrpc.FromServer)
	})
	t.Run("cancelled by the caller", func(t *testing.T) {
		c := once(t)
		ctx, cancel := context.WithCancel(context.Background())
		stream := open(c, ctx)
		cancel()
		if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
			t.Fatal(err)
		}
		eventually(t, "it is counted", func() bool { return c.Stats().Running == 0 && len(c.Stats().Calls) == 1 })
		if n := counted(t, c, duplexMethod, codes.Canceled); n.Class != herzgrpc.Unanswered {
			t.Errorf("%+v", n)
		}
	})
	large := &testpb.StreamingOutputCallRequest{Payload: &testpb.Payload{Body: make([]byte, 1000)}}
	t.Run("too large to be sent", func(t *testing.T) {
		c := once(t)
		stream := open(c, within(t, patience), grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(100)))
		wantCall(t, c, duplexMethod, stream.Send(large), codes.ResourceExhausted, herzgrpc.Unanswered)
	})
	t.Run("too large to be received", func(t *testing.T) {
		c := once(t)
		stream := open(c, within(t, patience), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(100)))
		must(t, stream.Send(large))
		_, err := stream.Recv()
		wantCall(t, c, duplexMethod, err, codes.ResourceExhausted, herzgrpc.Unanswered)
	})
	t.Run("ended by a time-out of the service config", func(t *testing.T) {
		c := once(t)
		stream := open(c, within(t, patience), grpc.WithDefaultServiceConfig(`{"methodConfig":[{"name":[{}],"timeout":"0.3s"}]}`))
		_, err := stream.Recv()
		wantCall(t, c, duplexMethod, err, codes.DeadlineExceeded, herzgrpc.Unanswered)
	})
	t.Run("lost", func(t *testing.T) {
		c := once(t)
		stream := open(c, within(t, patience))
		for _, nc := range s.ln.conns() {
			nc.Close()
		}
		_, err := stream.Recv()
		wantCall(t, c, duplexMethod, err, codes.Unavailable, herzgrpc.TransportLost)
	})
	t.Run("never opened", func(t *testing.T) {
		ln := listen(t, "127.0.0.1:0")
		must(t, ln.Close())
		c := once(t)
		_, err := dial(t, c, ln.Addr().String()).FullDuplexCall(within(t, patience))
		wantCall(t, c, duplexMethod, err, codes.Unavailable, herzgrpc.NeverSent)
		if n := c.Stats().Running; n != 0 {
			t.Errorf("%d run", n)
		}
	})
}

// written is a header or trailer as a server writes it.
func written(f *http2.Framer, id uint32, end bool, fields ...string) error {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		if err := enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			return err
		}
	}
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: end})
}

// framed gives the address of a server that answers one call by the frames that answer writes.
func framed(t *testing.T, answer func(f *http2.Framer, id uint32) error) string {
	t.Helper()
	ln := listen(t, "127.0.0.1:0")
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		_, err = io.ReadFull(nc, make([]byte, len(http2.ClientPreface)))
		f := http2.NewFramer(nc, nc)
		for err = errors.Join(err, f.WriteSettings()); err == nil; {
			var frame http2.Frame
			if frame, err = f.ReadFrame(); err != nil {
				return // the client has left
			}
			if h, ok := frame.(*http2.HeadersFrame); ok {
				err = answer(f, h.StreamID)
			}
		}
		t.Error(err)
	}()
	return ln.Addr().String()
}

// It fails when gRPC changes the texts by which statuses of its own are known.
func TestStatusThatGRPCMadeIsNotTheServers(t *testing.T) {
	t.Parallel()
	header := func(f *http2.Framer, id uint32) error {
		return written(f, id, false, ":status", "200", "content-type", "application/grpc")
	}
	for name, one := range map[string]struct {
		answer func(f *http2.Framer, id uint32) error
		code   codes.Code
		class  herzgrpc.Class
	}{
		"a status after a header": {func(f *http2.Framer, id uint32) error {
			return errors.Join(header(f, id), written(f, id, true, "grpc-status", "8", "grpc-message", "the server says so"))
		}, codes.ResourceExhausted, herzgrpc.FromServer},
		"a stream that is reset after a header": {func(f *http2.Framer, id uint32) error {
			return errors.Join(header(f, id), f.WriteRSTStream(id, http2.ErrCodeInternal))
		}, codes.Internal, herzgrpc.Unanswered},
		"a stream that is cancelled after a header": {func(f *http2.Framer, id uint32) error {
			return errors.Join(header(f, id), f.WriteRSTStream(id, http2.ErrCodeCancel))
		}, codes.Canceled, herzgrpc.Unanswered},
		"a stream that ends without a status": {func(f *http2.Framer, id uint32) error {
			return errors.Join(header(f, id), f.WriteData(id, true, nil))
		}, codes.Internal, herzgrpc.Unanswered},
		"a message that cannot be read": {func(f *http2.Framer, id uint32) error {
			return errors.Join(header(f, id), f.WriteData(id, false, []byte{0, 0, 0, 0, 1, 0xff}))
		}, codes.Internal, herzgrpc.Unanswered},
		"a message that is packed although nothing was said of that": {func(f *http2.Framer, id uint32) error {
			return errors.Join(header(f, id), f.WriteData(id, false, []byte{1, 0, 0, 0, 1, 0xff}))
		}, codes.Internal, herzgrpc.Unanswered},
		"no message": {func(f *http2.Framer, id uint32) error {
			return errors.Join(header(f, id), written(f, id, true, "grpc-status", "0"))
		}, codes.Internal, herzgrpc.Unanswered},
		"a header in the middle": {func(f *http2.Framer, id uint32) error {
			return errors.Join(header(f, id), header(f, id))
		}, codes.Internal, herzgrpc.Unanswered},
		"a page of a proxy": {func(f *http2.Framer, id uint32) error {
			return errors.Join(written(f, id, false, ":status", "503", "content-type", "text/html"), f.WriteData(id, true, []byte("busy")))
		}, codes.Unavailable, herzgrpc.FromServer},
		"a refusal of a proxy without a page": {func(f *http2.Framer, id uint32) error {
			return written(f, id, true, ":status", "503")
		}, codes.Unavailable, herzgrpc.FromServer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := once(t)
			wantCall(t, c, unaryMethod, ask(within(t, patience), dial(t, c, framed(t, one.answer)), ""), one.code, one.class)
		})
	}
}

// Names that were made at run time would be without number.
func TestMethodsThatAreNotKnownBeforehandAreCountedTogether(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := client(t, herzgrpc.Config{MaxMethods: 1})
	cc, err := grpc.NewClient(s.addr(), append(c.DialOptions(), plain())...)
	must(t, err)
	t.Cleanup(func() { cc.Close() })
	stub := testpb.NewTestServiceClient(cc)
	must(t, ask(within(t, patience), stub, ""))
	_, _ = stub.EmptyCall(within(t, patience), &testpb.Empty{}) // one more than MaxMethods
	_ = cc.Invoke(within(t, patience), "/made.up/AtRunTime", &testpb.Empty{}, &testpb.Empty{})
	if n := counted(t, c, unaryMethod, codes.OK); n.Calls != 1 {
		t.Errorf("%+v", n)
	}
	if n := counted(t, c, "other", codes.Unimplemented); n.Calls != 2 || n.Class != herzgrpc.FromServer {
		t.Errorf("%+v", n)
	}
}

// told is an observer that keeps the calls.
type told chan herzgrpc.Call

func (o told) Observe(_ context.Context, c herzgrpc.Call) { o <- c }

func TestObserverIsToldOfEachCallOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	o := make(told, 10)
	c := client(t, herzgrpc.Config{Observer: o})
	stub := dial(t, c, s.addr())
	must(t, ask(within(t, patience), stub, ""))
	_ = ask(within(t, patience), stub, "unavailable")
	first, second := <-o, <-o
	if first.Method != unaryMethod || first.Code != codes.OK || first.Duration <= 0 || first.Peer != s.addr() || first.Err != nil {
		t.Errorf("%+v", first)
	}
	if second.Code != codes.Unavailable || second.Class != herzgrpc.FromServer || second.Err == nil {
		t.Errorf("%+v", second)
	}
	if len(o) > 0 {
		t.Errorf("and of %+v", <-o)
	}
}

func TestClassesHaveTheNamesOfTheMetrics(t *testing.T) {
	want := []string{"server", "transport_lost", "never_sent", "unanswered"}
	for i, c := range herzgrpc.Classes() {
		b, err := c.MarshalText()
		if err != nil || string(b) != want[i] || c.String() != want[i] {
			t.Errorf("%d: %s, %s, %v", i, b, c, err)
		}
	}
	if got := herzgrpc.Class(9).String(); got != "class(9)" {
		t.Error(got)
	}
}
