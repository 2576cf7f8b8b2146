package herzgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"herz.example/herz/herzgrpc"
)

func bundled(t *testing.T) (*herzgrpc.Server, *server) {
	t.Helper()
	b, err := herzgrpc.NewServer(herzgrpc.ServerConfig{Logger: quiet()})
	must(t, err)
	return b, start(t, b.ServerOptions()...)
}

func TestDrainWaitsForCallsThatRun(t *testing.T) {
	t.Parallel()
	b, s := bundled(t)
	stub := dial(t, client(t, herzgrpc.Config{Retries: -1, Logger: quiet()}), s.addr())
	result := make(chan error, 1)
	go func() { result <- ask(within(t, patience), stub, "hold") }()
	eventually(t, "the call runs", func() bool { return s.executed.Load() == 1 })
	if now := b.Running(); len(now) != 1 || now[0].Method != unaryMethod || now[0].Calls != 1 {
		t.Errorf("running: %v", now)
	}
	drained := make(chan error, 1)
	go func() { drained <- b.Drain(within(t, patience), s.grpc) }()
	select {
	case err := <-drained:
		t.Errorf("it did not wait: %v", err)
	case <-time.NewTimer(200 * time.Millisecond).C:
	}
	close(s.hold)
	must(t, <-result)
	must(t, <-drained)
}

func TestDrainThatIsOverSaysWhatItCutOff(t *testing.T) {
	t.Parallel()
	b, s := bundled(t)
	c := client(t, herzgrpc.Config{Retries: -1, Logger: quiet()})
	stub := dial(t, c, s.addr())
	result := make(chan error, 1)
	go func() { result <- ask(within(t, patience), stub, "hold") }()
	stream, err := stub.FullDuplexCall(within(t, patience))
	must(t, err)
	must(t, stream.Send(&testpb.StreamingOutputCallRequest{}))
	eventually(t, "both run", func() bool { return s.executed.Load() == 2 })
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	err = b.Drain(ctx, s.grpc)
	if took := time.Since(begun); took > patience/2 {
		t.Errorf("it took %v", took)
	}
	var e *herzgrpc.DrainError
	if !errors.Is(err, herzgrpc.ErrCutOff) || !errors.As(err, &e) || len(e.Running) != 2 || e.Running[0].Method != duplexMethod || e.Running[1].Method != unaryMethod {
		t.Errorf("%v", err)
	}
	if err := <-result; err == nil {
		t.Error("a call survived")
	}
	if n := counted(t, c, unaryMethod, codes.Unavailable); n.Class != herzgrpc.TransportLost {
		t.Errorf("%+v", n)
	}
	for err == nil || stream != nil {
		if _, err := stream.Recv(); err != nil {
			break
		}
	}
}

// A port scanner, or a balancer that connects in advance.
func TestDrainIsNotHeldUpByAConnectionThatSaysNothing(t *testing.T) {
	t.Parallel()
	b, s := bundled(t)
	stub := dial(t, client(t, herzgrpc.Config{Retries: -1, Logger: quiet()}), s.addr())
	must(t, ask(within(t, patience), stub, ""))
	mute, err := net.Dial("tcp", s.addr())
	must(t, err)
	defer mute.Close()
	eventually(t, "it is accepted", func() bool { return len(s.ln.conns()) == 2 })
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	drained, begun := make(chan error, 1), time.Now()
	go func() { drained <- b.Drain(ctx, s.grpc) }()
	select {
	case err := <-drained:
		if took := time.Since(begun); took > time.Second || !errors.Is(err, herzgrpc.ErrCutOff) {
			t.Errorf("it took %v: %v", took, err)
		}
	case <-within(t, patience/4).Done():
		t.Fatal("it had 200 ms, and goes on after 5 s")
	}
}

func TestConnectionThatSaysNothingIsEndedInTimeForADrain(t *testing.T) {
	t.Parallel()
	b, err := herzgrpc.NewServer(herzgrpc.ServerConfig{Logger: quiet(), ConnectTimeout: 300 * time.Millisecond})
	must(t, err)
	s := start(t, b.ServerOptions()...)
	mute, err := net.Dial("tcp", s.addr())
	must(t, err)
	defer mute.Close()
	eventually(t, "it is accepted", func() bool { return len(s.ln.conns()) == 1 })
	must(t, b.Drain(within(t, patience), s.grpc))
}

// A server that passes on what it does not know is told names by its clients.
func TestNamesThatClientsMakeUpDoNotFillTheServer(t *testing.T) {
	t.Parallel()
	b, err := herzgrpc.NewServer(herzgrpc.ServerConfig{Logger: quiet()})
	must(t, err)
	calls := make(chan []herzgrpc.MethodCalls, 1)
	s := start(t, append(b.ServerOptions(), grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
		select {
		case <-calls: // the newest counts
		default:
		}
		calls <- b.Running()
		return status.Error(codes.Unimplemented, "nobody knows it")
	}))...)
	cc, err := grpc.NewClient(s.addr(), plain())
	must(t, err)
	t.Cleanup(func() { cc.Close() })
	ctx := within(t, 3*patience)
	for n := range 1500 {
		err := cc.Invoke(ctx, fmt.Sprintf("/made.up/Name%d", n), &testpb.Empty{}, &testpb.Empty{})
		if status.Code(err) != codes.Unimplemented {
			t.Fatal(err)
		}
	}
	if n := b.Names(); n > 1000 {
		t.Errorf("%d names are kept", n)
	}
	if now := <-calls; len(now) != 1 || now[0].Method != "other" || now[0].Calls != 1 {
		t.Errorf("the last one is counted as %v", now)
	}
	must(t, ask(within(t, patience), testpb.NewTestServiceClient(cc), ""))
	if n := b.Names(); n != 1001 {
		t.Errorf("a method that the server has does not count among %d", n)
	}
}
