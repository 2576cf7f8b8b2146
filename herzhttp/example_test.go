package herzhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzhttp"
	"herz.example/herz/pool"
)

// An ordinary client: what it is asked for is net/http's business, and on which connection is Herz's.
func ExampleNew() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "an order, by ", r.Method) }))
	defer server.Close()
	transport, err := herzhttp.New(herzhttp.Config{Limits: pool.Limits{MaxOpen: 50, KeepWarm: 5}})
	if err != nil {
		log.Fatal(err)
	}
	defer transport.Close()
	client := &http.Client{Transport: transport}

	resp, err := client.Post(server.URL, "text/plain", strings.NewReader("one book"))
	switch {
	case errors.Is(err, guard.ErrAmbiguous):
		log.Fatal("it may have been ordered: ask, do not repeat")
	case err != nil:
		log.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body) // of a small answer
	fmt.Println(string(answer))
	// Output: an order, by POST
}

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
