package pool_test

import (
	"context"
	"testing"

	"herz.example/herz/pool"
)

func TestNumActiveAndNumIdleAreTrueOfTheDefaultPool(t *testing.T) {
	p, err := pool.New(pool.Config[int]{Dial: func(context.Context) (int, error) { return 1, nil }, Limits: pool.Limits{MinIdle: 3}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	if err := p.WarmUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := p.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s := p.Stats(); p.Name() != "DefaultPool" || p.NumActive() != 1 || p.NumIdle() != s.Idle || s.Idle < 2 {
		t.Errorf("%s has %d active and %d idle: %+v", p.Name(), p.NumActive(), p.NumIdle(), s)
	}
	l.Release()
	if p.NumActive() != 0 {
		t.Errorf("%d active after the return", p.NumActive())
	}
}
