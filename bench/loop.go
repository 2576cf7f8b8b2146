package main

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

// job is what one goroutine does in a window, and what it found.
type job struct {
	row   work
	stop  *atomic.Bool
	held  func() // called once with the first loan in hand; nil: not called
	pairs int64
	waits []float64
	err   error
	_     [64]byte // what two goroutines count never shares a cache line
}

// loop borrows and returns until the window ends.
func loop[L any](ctx context.Context, j *job, acquire func(context.Context) (L, error), release func(L) error) error {
	if j.row.Fresh {
		return loopFresh(ctx, j, acquire, release)
	}
	for !j.stop.Load() {
		if err := pair(ctx, j, acquire, release); err != nil {
			return err
		}
	}
	return nil
}

// bare reports whether nothing is done with a loan. For these rows each pool has a loop of its own, in which it is called as its users
// call it: a call through a function value would cost as much as half a loan. They count in a register: a store before each atomic operation showed as up
// to 20 ns more, or not, as memory happened to lie.
func (j *job) bare() bool {
	return !j.row.Fresh && !j.row.Yield && !j.row.Latency && j.held == nil
}

// loopFresh makes a goroutine for each loan, as servers do for each request.
func loopFresh[L any](ctx context.Context, j *job, acquire func(context.Context) (L, error), release func(L) error) error {
	done := make(chan error, 1)
	for !j.stop.Load() {
		go func() { done <- pair(ctx, j, acquire, release) }()
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}

// pair is one loan and its return.
func pair[L any](ctx context.Context, j *job, acquire func(context.Context) (L, error), release func(L) error) error {
	var began time.Time
	if j.row.Latency {
		began = time.Now()
	}
	l, err := acquire(ctx)
	if err != nil {
		return err
	}
	if j.row.Latency {
		j.waits = append(j.waits, float64(time.Since(began)))
	}
	if j.held != nil {
		j.held()
		j.held = nil
	}
	if j.row.Yield {
		runtime.Gosched()
	}
	j.pairs++
	return release(l)
}
