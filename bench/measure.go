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

// sample is what one window showed. Durations are in nanoseconds; what was not measured is 0.
type sample struct {
	NsPerPair float64 `json:"ns_per_pair"`
	CPUWall   float64 `json:"cpu_wall"`
	Allocs    float64 `json:"allocs_per_pair"`
	P50       float64 `json:"p50_ns,omitempty"`
	P99       float64 `json:"p99_ns,omitempty"`
	P999      float64 `json:"p999_ns,omitempty"`
	Fairness  float64 `json:"fairness_max_min,omitempty"`
}

// measure fills a pool and lets the row's goroutines at it for one window.
func measure(ctx context.Context, open func(size int) (lender, error), row work) (sample, error) {
	l, err := open(row.Pool)
	if err != nil {
		return sample{}, err
	}
	defer func() { _ = l.close() }()
	let, err := occupy(ctx, l, row.Pool)
	if err != nil {
		return sample{}, err
	}
	if !row.Exhausted {
		if err := let(); err != nil {
			return sample{}, err
		}
	}
	var stop atomic.Bool
	jobs := make([]job, row.Goroutines)
	own, end := contexts(ctx, len(jobs))
	defer end()
	for i := range jobs {
		jobs[i].row, jobs[i].stop = row, &stop
		if row.Latency {
			jobs[i].waits = make([]float64, 0, 1<<10)
		}
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	used, began := record.CPUTime(), time.Now()
	var all sync.WaitGroup
	for i := range jobs {
		all.Go(func() { jobs[i].err = l.loop(own[i], &jobs[i]) })
	}
	if row.Exhausted {
		time.Sleep(5 * time.Millisecond) // everybody stands in line now; were somebody late, he would only make the row easier
		if err := let(); err != nil {
			return sample{}, err
		}
	}
	time.Sleep(row.Window)
	stop.Store(true)
	all.Wait()
	wall, cpu := time.Since(began), record.CPUTime()-used
	runtime.ReadMemStats(&after)
	return summary(jobs, row, wall, cpu, after.Mallocs-before.Mallocs)
}

// contexts makes n contexts that can end apart, as each request of a server has its own: if all waited on one, its channel's lock would be what
// is measured.
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

// occupy takes every connection of the pool, which opens them. Let gives them back.
func occupy(ctx context.Context, l lender, size int) (let func() error, err error) {
	gone, free := make(chan struct{}), make(chan struct{})
	var held atomic.Int64
	errs := make(chan error, size)
	var stop atomic.Bool
	for range size {
		go func() {
			errs <- l.loop(ctx, &job{stop: &stop, held: func() {
				if held.Add(1) == int64(size) {
					close(gone)
				}
				<-free
			}})
		}()
	}
	let = func() error {
		stop.Store(true)
		close(free)
		var all error
		for range size {
			all = errors.Join(all, <-errs)
		}
		return all
	}
	patience := time.NewTimer(10 * time.Second)
	defer patience.Stop()
	select {
	case <-gone:
		return let, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-patience.C:
		err = fmt.Errorf("only %d of %d connections opened", held.Load(), size)
	}
	return nil, errors.Join(err, let())
}

func summary(jobs []job, row work, wall, cpu time.Duration, mallocs uint64) (sample, error) {
	var total int64
	var waits []float64
	least, most := jobs[0].pairs, jobs[0].pairs
	for i := range jobs {
		j := &jobs[i]
		if j.err != nil {
			return sample{}, fmt.Errorf("borrow: %w", j.err)
		}
		total += j.pairs
		least, most = min(least, j.pairs), max(most, j.pairs)
		waits = append(waits, j.waits...)
	}
	if total == 0 {
		return sample{}, errors.New("nobody got a connection in the whole window")
	}
	out := sample{NsPerPair: float64(wall) / float64(total), CPUWall: float64(cpu) / float64(wall), Allocs: float64(mallocs) / float64(total)}
	if row.Window >= long && row.Yield && least > 0 {
		out.Fairness = float64(most) / float64(least)
	}
	if row.Latency {
		slices.Sort(waits)
		out.P50, out.P99, out.P999 = record.Quantile(waits, .5), record.Quantile(waits, .99), record.Quantile(waits, .999)
	}
	return out, nil
}
