package pool_test

import (
	"context"
	"net"
	"testing"

	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

func TestLoansOfGuardedConnectionsDoNotAllocate(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	p, err := pool.New(pool.Config[*guard.Conn]{
		Dial:   func(context.Context) (*guard.Conn, error) { return guard.Wrap(near, guard.Options{}), nil },
		Limits: pool.Limits{MaxOpen: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	pair := func() {
		l, err := p.Acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
	}
	pair()
	if n := testing.AllocsPerRun(1000, pair); n != 0 {
		t.Errorf("a loan and its return make %v allocations", n)
	}
}
