package herzgrpc_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"herz.example/herz/guard"
	"herz.example/herz/herzgrpc"
)

// later gives an address on which a server listens after a while.
func later(t *testing.T, after time.Duration) (addr string, s func() *server) {
	t.Helper()
	ln := listen(t, "127.0.0.1:0")
	addr = ln.Addr().String()
	must(t, ln.Close())
	started := make(chan *server, 1)
	timer := time.AfterFunc(after, func() { started <- serve(t, listen(t, addr)) })
	t.Cleanup(func() {
		if timer.Stop() {
			close(started)
		}
	})
	return addr, func() *server { return <-started }
}

func TestCallThatNeverLeftIsRepeatedWhenThereIsAConnection(t *testing.T) {
	t.Parallel()
	addr, s := later(t, 400*time.Millisecond)
	c := client(t, herzgrpc.Config{RetryWait: patience})
	must(t, ask(within(t, patience), dial(t, c, addr), ""))
	if n := s().executed.Load(); n != 1 {
		t.Errorf("executed %d times", n)
	}
	if n := c.Stats(); n.Repeats != 1 || counted(t, c, unaryMethod, codes.OK).Calls != 1 {
		t.Errorf("%+v", n)
	}
}

func TestStreamThatWasNeverOpenedIsOpenedWhenThereIsAConnection(t *testing.T) {
	t.Parallel()
	addr, s := later(t, 400*time.Millisecond)
	c := client(t, herzgrpc.Config{RetryWait: patience})
	stream, err := dial(t, c, addr).FullDuplexCall(within(t, patience))
	must(t, err)
	must(t, stream.Send(&testpb.StreamingOutputCallRequest{}))
	_, err = stream.Recv()
	must(t, err)
	must(t, stream.CloseSend())
	_, _ = stream.Recv()
	if n := s().executed.Load(); n != 1 || c.Stats().Repeats != 1 || c.Stats().Running != 0 {
		t.Errorf("executed %d times, %+v", n, c.Stats())
	}
	counted(t, c, duplexMethod, codes.OK)
}

func TestWaitForAConnectionIsBounded(t *testing.T) {
	t.Parallel()
	ln := listen(t, "127.0.0.1:0")
	must(t, ln.Close())
	for name, one := range map[string]struct {
		cfg   herzgrpc.Config
		limit time.Duration
		least time.Duration
	}{
		"by RetryWait":          {herzgrpc.Config{RetryWait: 500 * time.Millisecond}, patience, 500 * time.Millisecond},
		"by the call's context": {herzgrpc.Config{RetryWait: patience}, 500 * time.Millisecond, 400 * time.Millisecond},
		"it is not wanted":      {herzgrpc.Config{Retries: -1}, patience, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, one.cfg)
			begun := time.Now()
			err := ask(within(t, one.limit), dial(t, c, ln.Addr().String()), "")
			if took := time.Since(begun); took < one.least || took > patience/2 {
				t.Errorf("took %v", took)
			}
			if status.Code(err) != codes.Unavailable || !guard.SafeToRetry(err) || c.Stats().Repeats != 0 {
				t.Errorf("%v, %d repeats", err, c.Stats().Repeats)
			}
		})
	}
}

// policy has gRPC itself repeat what is UNAVAILABLE, delivered or not.
const policy = `{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":3,"initialBackoff":"0.01s","maxBackoff":"0.01s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]}`

func TestCallThatMayHaveBeenExecutedIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		cfg  herzgrpc.Config
		want int64
	}{
		"although a service config says so":  {herzgrpc.Config{}, 1},
		"but where the application wants it": {herzgrpc.Config{PolicyRetries: true}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			c := client(t, one.cfg)
			stub := dial(t, c, s.addr(), grpc.WithDefaultServiceConfig(policy))
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			result := make(chan error, 1)
			go func() { result <- ask(ctx, stub, "hold") }()
			eventually(t, "the server is at it", func() bool { return s.executed.Load() == 1 })
			must(t, s.ln.conns()[0].Close())
			if one.want == 1 {
				if err := <-result; status.Code(err) != codes.Unavailable {
					t.Error(err)
				}
			} else {
				eventually(t, "it is repeated", func() bool { return s.executed.Load() == one.want })
				close(s.hold)
				must(t, <-result)
			}
			if n := s.executed.Load(); n != one.want {
				t.Errorf("executed %d times, and not %d", n, one.want)
			}
		})
	}
}
