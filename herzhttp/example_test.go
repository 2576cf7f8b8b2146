package herzhttp_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"herz.example/herz/herzhttp"
	"herz.example/herz/pool"
)

// A service behind an ALB, on Kubernetes: the balancer's settings, the pools, and nothing else. SIGTERM lets it leave; a second one ends it at once.
func ExampleRun() {
	who := &herzhttp.Borrowers{}
	orders, err := pool.New(pool.Config[string]{
		Name: "orders", Observer: who, Dial: func(context.Context) (string, error) { return "a session", nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	s, err := herzhttp.NewServer(&http.Server{Addr: "127.0.0.1:0", Handler: http.NotFoundHandler()}, herzhttp.ServerConfig{
		Alignment: herzhttp.Alignment{
			HealthInterval: 5 * time.Second, HealthTimeout: 2 * time.Second, StatusThreshold: 2, UnhealthyThreshold: 2, // of the target group
			BalancerIdle: 60 * time.Second, // of the load balancer
			Grace:        35 * time.Second, // terminationGracePeriodSeconds
		},
		Pools:     []herzhttp.Drainer{orders},
		Borrowers: who,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("after SIGTERM it serves for", s.Alignment().DrainDelay, "more; idle connections live for", s.Alignment().ServerIdle)

	ctx, cancel := context.WithCancel(context.Background()) // the example's own end
	cancel()
	go s.Close() // and it does not wait for its balancer
	_ = herzhttp.Run(ctx, s)
	// Output: after SIGTERM it serves for 13s more; idle connections live for 1m5s
}
