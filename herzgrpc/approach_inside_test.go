package herzgrpc

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func TestCallThatPanicsIsNotWaitedFor(t *testing.T) {
	cc, err := grpc.NewClient("passthrough:///orders.test:1", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ch := &channel{client: discarding(t)}
	for name, one := range map[string]func(){
		"a call": func() {
			_ = ch.unary(t.Context(), "/a/b", nil, nil, cc, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
				panic("an interceptor")
			})
		},
		"a stream": func() {
			_, _ = ch.stream(t.Context(), nil, cc, "/a/b", func(
				context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption,
			) (grpc.ClientStream, error) {
				panic("an interceptor")
			})
		},
	} {
		func() {
			defer func() { _ = recover() }()
			one()
		}()
		if coming, running := ch.coming.Load(), ch.running.Load(); coming != 0 || running != 0 {
			t.Errorf("after %s that panicked, %d have not arrived, and %d run", name, coming, running)
		}
	}
}
