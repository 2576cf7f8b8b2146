package herzgrpc_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"herz.example/herz/herzgrpc"
)

// mostAllocs is what a call may allocate beyond plain gRPC, at both ends together. A stats.Handler at one end costs more than twice as much.
const mostAllocs = 8

// It is not parallel: others allocate, too.
func TestCallAllocatesLittleMoreThanPlain(t *testing.T) {
	bare := start(t)
	cc, err := grpc.NewClient(bare.addr(), plain())
	must(t, err)
	t.Cleanup(func() { cc.Close() })
	_, s := bundled(t)
	least := func(stub testpb.TestServiceClient) float64 {
		most := 1e9
		for range 5 { // what the runtime does beside it comes and goes
			most = min(most, testing.AllocsPerRun(200, func() { must(t, ask(context.Background(), stub, "")) }))
		}
		return most
	}
	without := least(testpb.NewTestServiceClient(cc))
	with := least(dial(t, client(t, herzgrpc.Config{}), s.addr()))
	t.Logf("%v allocations, and %v without", with, without)
	if with-without > mostAllocs {
		t.Errorf("a call allocates %v times, and %v times without", with, without)
	}
}
