package pool_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// A pool of TCP connections. The guard is found by itself, so that a connection whose peer has left is never lent.
func ExampleNew() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ln.Close()
	dialer := &guard.Dialer{}
	p, err := pool.New(pool.Config[net.Conn]{
		Name:   "orders",
		Dial:   func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", ln.Addr().String()) },
		Limits: pool.Limits{MaxOpen: 4},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Drain(context.Background())

	lease, err := p.Acquire(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(lease.Value().RemoteAddr().String() == ln.Addr().String(), p.Stats().InUse)
	lease.Release()
	fmt.Println(p.Stats().Idle)
	// Output:
	// true 1
	// 1
}

// A connection that its user found broken is discarded, with the reason for the record.
func ExampleLease_Discard() {
	p, err := pool.New(pool.Config[string]{Dial: func(context.Context) (string, error) { return "a session", nil }})
	if err != nil {
		fmt.Println(err)
		return
	}
	lease, err := p.Acquire(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	lease.Discard(errors.New("the answer made no sense"))
	if err := p.Drain(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	death := p.Deaths()[0]
	fmt.Println(death.Cause, "-", death.Detail)
	// Output: error - the answer made no sense
}

// Limits change while the pool runs, all at once; limits that contradict each other change nothing.
func ExamplePool_SetLimits() {
	p, err := pool.New(pool.Config[int]{Dial: func(context.Context) (int, error) { return 1, nil }})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	l := p.Limits()
	l.MaxOpen = 2
	l.MinIdle = 3
	fmt.Println(p.SetLimits(l))
	fmt.Println(p.Limits().MaxOpen)
	// Output:
	// herz/pool: limits: MinIdle is 3; it must be 0 to MaxOpen (2)
	// 10
}
