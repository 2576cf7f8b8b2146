package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"herz.example/herz/bench/record"
)

// sample is what one window showed.
type sample struct {
	perSecond float64 // queries
	cpu       float64 // nanoseconds of this process' processor time, user and system, for a query
	cpuWall   float64
	p50, p99  float64 // latency of a query, nanoseconds
}

// patience bounds a query. None takes a hundredth of it unless something is broken.
const patience = 10 * time.Second

// measure lets the row's goroutines ask for one window. The time between two windows, with the collection of what the last one left, is not
// measured.
func (s *subject) measure(ctx context.Context, r row, window time.Duration) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, window+patience)
	defer cancel()
	for len(s.took) < r.Goroutines {
		s.took = append(s.took, make([]float64, 0, 1<<12))
	}
	own, end := contexts(ctx, r.Goroutines)
	defer end()
	errs := make([]error, r.Goroutines)
	var stop atomic.Bool
	var all sync.WaitGroup
	runtime.GC()
	used, began := record.CPUTime(), time.Now()
	for i := range r.Goroutines {
		all.Go(func() { s.took[i], errs[i] = s.ask(own[i], r, &stop, s.took[i][:0]) })
	}
	time.Sleep(window)
	stop.Store(true)
	all.Wait()
	wall, cpu := time.Since(began), record.CPUTime()-used
	if err := errors.Join(errs...); err != nil {
		return sample{}, err
	}
	took := slices.Concat(s.took[:r.Goroutines]...)
	if len(took) == 0 {
		return sample{}, errors.New("no query was answered in the whole window")
	}
	slices.Sort(took)
	n := float64(len(took))
	return sample{
		perSecond: n / wall.Seconds(), cpu: float64(cpu) / n, cpuWall: float64(cpu) / float64(wall),
		p50: record.Quantile(took, .5), p99: record.Quantile(took, .99),
	}, nil
}

// contexts makes n contexts that can end apart, as each request of a server has its own.
func contexts(ctx context.Context, n int) (own []context.Context, end func()) {
	var ends []context.CancelFunc
	for range n {
		one, end := context.WithCancel(ctx)
		own, ends = append(own, one), append(ends, end)
	}
	return own, func() {
		for _, end := range ends {
			end()
		}
	}
}

// ask asks until it is stopped, and adds how long each answer took.
func (s *subject) ask(ctx context.Context, r row, stop *atomic.Bool, took []float64) ([]float64, error) {
	for !stop.Load() {
		began := time.Now()
		got, err := s.query(ctx, r)
		if err != nil {
			return took, err
		}
		took = append(took, float64(time.Since(began)))
		if got != answer {
			return took, fmt.Errorf("the answer is %q, and not %q", got, answer)
		}
	}
	return took, nil
}

func (s *subject) query(ctx context.Context, r row) (got string, err error) {
	if r.Prepared {
		err = s.stmt.QueryRowContext(ctx, asked).Scan(&got)
	} else {
		err = s.db.QueryRowContext(ctx, simple).Scan(&got)
	}
	return got, err
}
