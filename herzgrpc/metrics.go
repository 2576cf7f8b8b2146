package herzgrpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/stats/opentelemetry"
)

// scope names the instruments' library.
const scope = "herz.example/herz/herzgrpc"

// subchannelMetrics are gRPC's own metrics of connections (gRFC A94), which are off unless they are asked for.
var subchannelMetrics = []string{
	"grpc.subchannel.connection_attempts_succeeded", "grpc.subchannel.connection_attempts_failed",
	"grpc.subchannel.disconnections", "grpc.subchannel.open_connections",
}

// callSeconds are the bounds of the duration, from a loopback's answer to a patient caller's deadline.
var callSeconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// meters tell OpenTelemetry of calls.
type meters struct {
	duration    metric.Float64Histogram
	subchannels grpc.DialOption
}

func newMeters(c *Client, p metric.MeterProvider) (*meters, error) {
	meter := p.Meter(scope)
	duration, errDuration := meter.Float64Histogram("rpc.client.call.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of calls, with repeats; of streams until they end."), metric.WithExplicitBucketBoundaries(callSeconds...))
	calls, errCalls := meter.Int64ObservableCounter("herz.grpc.calls", metric.WithUnit("{call}"),
		metric.WithDescription("Calls that ended: by method, status, how far they came, and the state of the channel when they began."))
	repeats, errRepeats := meter.Int64ObservableCounter("herz.grpc.retries", metric.WithUnit("{retry}"),
		metric.WithDescription("Repeats of calls of which nothing had left."))
	_, errObserve := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(repeats, int64(c.repeats.Load())) //nolint:gosec // as many are never reached
		for _, n := range c.methods.all() {
			o.ObserveInt64(calls, int64(n.Calls), metric.WithAttributes( //nolint:gosec // as above
				semconv.RPCMethod(n.Method), semconv.RPCResponseStatusCode(codeNames[n.Code]),
				attribute.String("herz.grpc.class", n.Class.String()), attribute.String("herz.grpc.channel_state", n.State.String())))
		}
		return nil
	}, calls, repeats)
	if err := errors.Join(errDuration, errCalls, errRepeats, errObserve); err != nil {
		return nil, fmt.Errorf("herz/herzgrpc: make the instruments: %w", err)
	}
	return &meters{duration: duration, subchannels: opentelemetry.DialOption(opentelemetry.Options{MetricsOptions: opentelemetry.MetricsOptions{
		MeterProvider: p, Metrics: stats.NewMetricSet(subchannelMetrics...), OptionalLabels: []string{"grpc.disconnect_error"},
	}})}, nil
}

// ended records how long a call took.
func (m *meters) ended(ctx context.Context, of *method, code codes.Code, took time.Duration) {
	opts := of.sets[code].Load()
	if opts == nil {
		a := []attribute.KeyValue{semconv.RPCSystemNameGRPC, semconv.RPCMethod(of.name), semconv.RPCResponseStatusCode(codeNames[code])}
		if code != codes.OK {
			a = append(a, semconv.ErrorTypeKey.String(codeNames[code]))
		}
		opts = &[]metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(a...))}
		of.sets[code].Store(opts)
	}
	m.duration.Record(ctx, took.Seconds(), *opts...)
}
