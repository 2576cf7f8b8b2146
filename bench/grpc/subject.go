package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"herz.example/herz/bench/record"
	"herz.example/herz/herzgrpc"
)

// The subjects.
const (
	plainName  = "plain"
	againName  = "plain-again" // the A/A row: what differs between it and plain is noise
	herzName   = "herzgrpc"
	metersName = "herzgrpc, metrics" // with gRPC's own of connections
	otelName   = "otelgrpc"          // metrics, and a trace that is not recorded
)

// subject is a channel and its server.
type subject struct {
	name  string
	place *place
	cc    *grpc.ClientConn
	stub  testpb.TestServiceClient
}

// options are those of both ends of a subject.
type options struct {
	name   string
	client []grpc.DialOption
	server []grpc.ServerOption
}

func herzOptions(name string, cfg herzgrpc.Config) (options, error) {
	cfg.Logger = slog.New(slog.DiscardHandler) // connections are broken on purpose
	c, errClient := herzgrpc.New(cfg)
	s, errServer := herzgrpc.NewServer(herzgrpc.ServerConfig{Logger: cfg.Logger})
	if err := errors.Join(errClient, errServer); err != nil {
		return options{}, err
	}
	return options{name, c.DialOptions(), s.ServerOptions()}, nil
}

func meters() *sdkmetric.MeterProvider {
	return sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
}

// subjects opens all of them, each with a server of its own.
func subjects() (list []*subject, err error) {
	herz, errHerz := herzOptions(herzName, herzgrpc.Config{})
	metered, errMetered := herzOptions(metersName, herzgrpc.Config{MeterProvider: meters()})
	if err := errors.Join(errHerz, errMetered); err != nil {
		return nil, err
	}
	tracers := otelgrpc.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())))
	measure := otelgrpc.WithMeterProvider(meters())
	for _, o := range []options{
		{name: plainName},
		{name: againName},
		herz, metered,
		{
			otelName,
			[]grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(tracers, measure))},
			[]grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(tracers, measure))},
		},
	} {
		s, err := o.open()
		if err != nil {
			closeAll(list)
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		list = append(list, s)
	}
	return list, nil
}

func (o options) open() (*subject, error) {
	p, err := serve(o.server...)
	if err != nil {
		return nil, err
	}
	cc, stub, err := p.connect(o.client...)
	if err != nil {
		p.close()
		return nil, err
	}
	return &subject{o.name, p, cc, stub}, nil
}

func closeAll(list []*subject) {
	for _, s := range list {
		_ = s.cc.Close() // nothing is left to do
		s.place.close()
	}
}

// sample is what one window showed.
type sample struct {
	cpu     float64 // nanoseconds of processor time of both ends for a call, user and system
	rate    float64 // calls in a second
	allocs  float64 // of both ends for a call
	cpuWall float64
}

// body is what goes there and back.
var body = bytes.Repeat([]byte("h"), 100)

// patience bounds a call. None takes a hundredth of it unless something is broken.
const patience = 10 * time.Second

// measure lets goroutines call for one window, each call with a deadline of its own, as calls should have.
func (s *subject) measure(ctx context.Context, goroutines int, window time.Duration) (sample, error) {
	var before, after runtime.MemStats
	errs := make([]error, goroutines)
	var calls atomic.Int64
	var stop atomic.Bool
	var all sync.WaitGroup
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu, began := record.CPUTime(), time.Now()
	for i := range goroutines {
		all.Go(func() {
			for !stop.Load() && errs[i] == nil {
				if errs[i] = s.call(ctx); errs[i] == nil {
					calls.Add(1)
				}
			}
		})
	}
	time.Sleep(window)
	stop.Store(true)
	all.Wait()
	spent, wall := record.CPUTime()-cpu, time.Since(began)
	runtime.ReadMemStats(&after)
	if err := errors.Join(errs...); err != nil {
		return sample{}, err
	}
	n := float64(calls.Load())
	if n == 0 {
		return sample{}, errors.New("no call was answered in the whole window")
	}
	return sample{float64(spent) / n, n / wall.Seconds(), float64(after.Mallocs-before.Mallocs) / n, float64(spent) / float64(wall)}, nil
}

func (s *subject) call(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, err := s.stub.UnaryCall(ctx, &testpb.SimpleRequest{Payload: &testpb.Payload{Body: body}})
	if err == nil && !bytes.Equal(got.GetPayload().GetBody(), body) {
		err = fmt.Errorf("the answer is %q", got.GetPayload().GetBody())
	}
	return err
}
