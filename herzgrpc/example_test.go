package herzgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"herz.example/herz/guard"
	"herz.example/herz/herzgrpc"
)

// A server and a client with Herz's options, a call, and what its failure tells.
func Example() {
	ends, err := herzgrpc.NewServer(herzgrpc.ServerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(ends.ServerOptions()...)
	healthpb.RegisterHealthServer(server, health.NewServer())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()

	herz, err := herzgrpc.New(herzgrpc.Config{Retries: -1})
	if err != nil {
		log.Fatal(err)
	}
	cc, err := grpc.NewClient(ln.Addr().String(), append(herz.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answer, err := healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{})
	fmt.Println(answer.GetStatus(), err)

	if err := ends.Drain(ctx, server); err != nil {
		log.Fatal(err)
	}
	<-served
	_, err = healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{})
	fmt.Println(status.Code(err), "safe to repeat:", guard.SafeToRetry(err), "perhaps executed:", errors.Is(err, guard.ErrAmbiguous))
	for _, n := range herz.Stats().Calls {
		fmt.Println(n.Method, n.Code, n.Class, n.Calls)
	}
	// Output:
	// SERVING <nil>
	// Unavailable safe to repeat: true perhaps executed: false
	// grpc.health.v1.Health/Check OK server 1
	// grpc.health.v1.Health/Check Unavailable never_sent 1
}
