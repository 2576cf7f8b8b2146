package herzgrpc_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	"herz.example/herz/conn"
	"herz.example/herz/herzgrpc"
)

// load calls from several goroutines until it is stopped, and fails the test with the first call that fails.
func load(t *testing.T, stub testpb.TestServiceClient, enough func() bool) (calls int64) {
	t.Helper()
	var n atomic.Int64
	var stop atomic.Bool
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for !stop.Load() {
				if err := ask(within(t, patience), stub, ""); err != nil {
					t.Errorf("after %d calls: %v", n.Load(), err)
					return
				}
				n.Add(1)
			}
		})
	}
	eventually(t, "enough turns", enough)
	stop.Store(true)
	all.Wait()
	return n.Load()
}

func TestNoCallFailsWhileConnectionsAreReplacedForTheirAge(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]grpc.DialOption{
		"pick_first":  nil,
		"round_robin": {grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			c := client(t, herzgrpc.Config{MaxConnectionAge: 200 * time.Millisecond, Retries: -1, Logger: quiet()})
			stub := dial(t, c, "dns:///"+s.addr(), opts...)
			stream, err := stub.FullDuplexCall(within(t, time.Minute))
			must(t, err)
			calls := load(t, stub, func() bool { return len(s.ln.conns()) >= 6 })
			must(t, stream.Send(&testpb.StreamingOutputCallRequest{})) // on a connection that is long replaced
			_, err = stream.Recv()
			must(t, err)
			must(t, stream.CloseSend())
			_, _ = stream.Recv()
			if n := s.executed.Load(); n != calls+1 {
				t.Errorf("%d calls were executed %d times", calls+1, n)
			}
			eventually(t, "connections that were replaced are closed", func() bool { return c.Stats().Open <= 2 })
			n := c.Stats()
			if n.Rotations < 5 || n.Ended[conn.Drained] < 4 || n.Ended[conn.PeerRST] > 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// An application's own resolver is aged as those of gRPC are, and its addresses turn at different times.
func TestOwnResolverIsAgedToo(t *testing.T) {
	t.Parallel()
	a, b := start(t), start(t)
	own := manual.NewBuilderWithScheme("own")
	own.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: a.addr()}, {Addr: b.addr()}}})
	c := client(t, herzgrpc.Config{MaxConnectionAge: 200 * time.Millisecond, Retries: -1, Logger: quiet(), Resolvers: []resolver.Builder{own}})
	stub := dial(t, c, "own:///x", grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`))
	load(t, stub, func() bool { return len(a.ln.conns()) >= 4 && len(b.ln.conns()) >= 4 })
}

func TestConnectionsAreKeptWhereNoAgeIsSet(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := client(t, herzgrpc.Config{})
	stub := dial(t, c, "dns:///"+s.addr())
	for range 20 {
		must(t, ask(within(t, patience), stub, ""))
		time.Sleep(20 * time.Millisecond)
	}
	if n := c.Stats(); len(s.ln.conns()) != 1 || n.Rotations != 0 || n.Dials != 1 {
		t.Errorf("%d connections, %+v", len(s.ln.conns()), n)
	}
}

// The server's own age ends no call either.
func TestNoCallFailsWhileTheServerSendsItsClientsAway(t *testing.T) {
	t.Parallel()
	bundle, err := herzgrpc.NewServer(herzgrpc.ServerConfig{MaxConnectionAge: 200 * time.Millisecond})
	must(t, err)
	s := start(t, bundle.ServerOptions()...)
	c := client(t, herzgrpc.Config{Retries: -1, Logger: quiet()})
	load(t, dial(t, c, s.addr()), func() bool { return len(s.ln.conns()) >= 5 })
	if left := bundle.Running(); !slices.Equal(left, nil) {
		t.Errorf("the server is still at %v", left)
	}
}

// A call that had chosen a connection when that was replaced would wait for its last stream (16 in 267 turns did, without the gate).
func TestNoCallWaitsForTheStreamsOfAConnectionThatIsReplaced(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := client(t, herzgrpc.Config{MaxConnectionAge: 100 * time.Millisecond, Retries: -1, Logger: quiet()})
	stub := dial(t, c, "dns:///"+s.addr())
	var streams sync.WaitGroup
	done := make(chan struct{})
	var stop atomic.Bool
	streams.Go(func() {
		for !stop.Load() {
			stream, err := stub.FullDuplexCall(within(t, 2*patience))
			if err == nil {
				err = stream.Send(&testpb.StreamingOutputCallRequest{})
			}
			if err != nil {
				t.Errorf("open a stream: %v", err)
				return
			}
			streams.Go(func() {
				if _, err := stream.Recv(); err != nil {
					t.Errorf("a stream that runs: %v", err)
				}
				<-done
				_ = stream.CloseSend()
				_, _ = stream.Recv() // the end
			})
			time.Sleep(20 * time.Millisecond)
		}
	})
	load(t, stub, func() bool { return c.Stats().Rotations >= 50 }) // fails when a call is not back in time
	stop.Store(true)
	close(done)
	streams.Wait()
}

// slowToken fetches a token for each call, which takes longer than a turn waits at first.
type slowToken struct{}

func (slowToken) RequireTransportSecurity() bool { return false }

func (slowToken) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	t := time.NewTimer(600 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return map[string]string{"token": "x"}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A call that chose a connection fetches its token before it comes to it, and would wait there for the stream.
func TestNoCallThatIsSlowToComeWaitsForTheStreamsOfAConnectionThatIsReplaced(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := client(t, herzgrpc.Config{MaxConnectionAge: 200 * time.Millisecond, Retries: -1, Logger: quiet()})
	stub := dial(t, c, "dns:///"+s.addr(), grpc.WithPerRPCCredentials(slowToken{}))
	stream, err := stub.FullDuplexCall(within(t, 3*patience))
	must(t, err)
	must(t, stream.Send(&testpb.StreamingOutputCallRequest{}))
	_, err = stream.Recv()
	must(t, err)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 8 {
				if err := ask(within(t, patience/2), stub, ""); err != nil {
					t.Errorf("while the stream lives: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	if n := c.Stats().Rotations; n == 0 {
		t.Error("no connection was replaced")
	}
	must(t, stream.CloseSend())
	_, _ = stream.Recv() // the end
}
