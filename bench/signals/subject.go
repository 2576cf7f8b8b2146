package main

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"herz.example/herz/bench/record"
	"herz.example/herz/herzotel"
	"herz.example/herz/herzprom"
	"herz.example/herz/pool"
)

// The subjects.
const (
	noneName  = "none"
	againName = "none-again"
	promName  = "herzprom"
	otelName  = "herzotel, metrics"
	spansName = "herzotel, trace not recorded"
	eventName = "an observer of events"
)

// subject is a pool with an observer.
type subject struct {
	name string
	pool *pool.Pool[*int]
	ctx  context.Context //nolint:containedctx // of its callers
}

// counter takes every event, as observers do that are told of loans by events.
type counter struct{ n atomic.Uint64 }

func (c *counter) Observe(pool.Event) { c.n.Add(1) }

// subjects makes all of them. none and none-again are the same: how far they lie apart is the noise of the run.
func subjects() (list []*subject, end func(), err error) {
	metrics, errMetrics := herzotel.New(herzotel.WithMeterProvider(meters()), herzotel.WithoutSpans())
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	spans, errSpans := herzotel.New(herzotel.WithMeterProvider(meters()), herzotel.WithTracerProvider(tracers))
	if err = errors.Join(errMetrics, errSpans); err != nil {
		return nil, nil, err
	}
	prom := herzprom.New(herzprom.Config{})
	prometheus.NewRegistry().MustRegister(prom)
	request, span := tracers.Tracer("bench").Start(context.Background(), "request")
	for _, s := range []struct {
		name string
		o    pool.Observer
		ctx  context.Context //nolint:containedctx // as above
	}{
		{noneName, nil, context.Background()},
		{againName, nil, context.Background()},
		{promName, prom, context.Background()},
		{otelName, metrics, context.Background()},
		{spansName, spans, request},
		{eventName, &counter{}, context.Background()},
	} {
		p, err := pool.New(pool.Config[*int]{
			Name: s.name, Observer: s.o, Limits: pool.Limits{MaxOpen: 16}, Dial: func(context.Context) (*int, error) { return new(int), nil },
			Close: func(context.Context, *int) error { return nil },
		})
		if err != nil {
			return nil, nil, err
		}
		list = append(list, &subject{s.name, p, s.ctx})
	}
	return list, func() {
		span.End()
		for _, s := range list {
			_ = s.pool.Close() // nothing is left to do
		}
	}, nil
}

func meters() *sdkmetric.MeterProvider {
	return sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
}

// sample is what one window showed.
type sample struct{ ns, allocs, cpuWall float64 }

// batch is how many pairs are made between two looks at the clock.
const batch = 64

// measure lets goroutines borrow and return for a while.
func (s *subject) measure(ctx context.Context, goroutines int, window time.Duration) (sample, error) {
	if err := s.open(goroutines); err != nil {
		return sample{}, err
	}
	var before, after runtime.MemStats
	var pairs atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu, began := record.CPUTime(), time.Now()
	for range goroutines {
		wg.Go(func() {
			n := int64(0)
			for time.Since(began) < window && ctx.Err() == nil {
				for range batch {
					l, err := s.pool.Acquire(s.ctx)
					if err != nil {
						why := err // a copy, so that the path of those who get a connection allocates nothing
						failed.Store(&why)
						return
					}
					l.Release()
				}
				n += batch
			}
			pairs.Add(n)
		})
	}
	wg.Wait()
	spent, wall := record.CPUTime()-cpu, time.Since(began)
	runtime.ReadMemStats(&after)
	if err := failed.Load(); err != nil {
		return sample{}, *err
	}
	n := float64(max(pairs.Load(), 1))
	return sample{ns: float64(spent) / n, allocs: float64(after.Mallocs-before.Mallocs) / n, cpuWall: float64(spent) / float64(wall)}, ctx.Err()
}

// open sees to it that all connections are there when the window begins.
func (s *subject) open(n int) error {
	all := make([]pool.Lease[*int], 0, n)
	for range min(n, s.pool.Limits().MaxOpen) {
		l, err := s.pool.Acquire(s.ctx)
		if err != nil {
			return err
		}
		all = append(all, l)
	}
	for _, l := range all {
		l.Release()
	}
	return nil
}
