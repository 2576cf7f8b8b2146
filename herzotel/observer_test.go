package herzotel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
	"go.uber.org/goleak"

	"herz.example/herz/ceiling"
	"herz.example/herz/conn"
	"herz.example/herz/herzotel"
	"herz.example/herz/pool"
	"herz.example/herz/signal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type thing struct{}

func (*thing) Close() error { return nil }

// bench has one pool, and what is told of it.
type bench struct {
	pool   *pool.Pool[*thing]
	reader *sdkmetric.ManualReader
	meters *sdkmetric.MeterProvider
	spans  *tracetest.InMemoryExporter
	tracer *sdktrace.TracerProvider
}

func newBench(t testing.TB, l pool.Limits, opts ...herzotel.Option) *bench {
	t.Helper()
	b := &bench{reader: sdkmetric.NewManualReader(), spans: tracetest.NewInMemoryExporter()}
	b.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader))
	b.tracer = sdktrace.NewTracerProvider(sdktrace.WithSyncer(b.spans))
	o, err := herzotel.New(append([]herzotel.Option{
		herzotel.WithMeterProvider(b.meters), herzotel.WithTracerProvider(b.tracer),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	b.pool, err = pool.New(pool.Config[*thing]{
		Name: "orders", Observer: o, Limits: l, Dial: func(context.Context) (*thing, error) { return &thing{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.pool.Close() })
	return b
}

func (b *bench) acquire(ctx context.Context, t testing.TB) pool.Lease[*thing] {
	t.Helper()
	l, err := b.pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// told gives the metrics as they are exported.
func (b *bench) told(t *testing.T) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := b.reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	byName := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			byName[m.Name] = m
		}
	}
	return byName
}

// values gives the points of a metric by their attributes; of a histogram its count.
func values(m metricdata.Metrics) map[string]float64 {
	all := map[string]float64{}
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			all[words(p.Attributes)] = float64(p.Value)
		}
	case metricdata.Gauge[int64]:
		for _, p := range d.DataPoints {
			all[words(p.Attributes)] = float64(p.Value)
		}
	case metricdata.Gauge[float64]:
		for _, p := range d.DataPoints {
			all[words(p.Attributes)] = p.Value
		}
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			all[words(p.Attributes)] = float64(p.Count)
		}
	}
	return all
}

func words(s attribute.Set) string {
	var parts []string
	for _, kv := range s.ToSlice() {
		parts = append(parts, kv.Value.String())
	}
	return strings.Join(parts, " ")
}

// conventions are the names and units as the conventions' own package has them.
func conventions() map[string]string {
	return map[string]string{
		dbconv.ClientConnectionCount{}.Name():           dbconv.ClientConnectionCount{}.Unit(),
		dbconv.ClientConnectionMax{}.Name():             dbconv.ClientConnectionMax{}.Unit(),
		dbconv.ClientConnectionIdleMin{}.Name():         dbconv.ClientConnectionIdleMin{}.Unit(),
		dbconv.ClientConnectionIdleMax{}.Name():         dbconv.ClientConnectionIdleMax{}.Unit(),
		dbconv.ClientConnectionPendingRequests{}.Name(): dbconv.ClientConnectionPendingRequests{}.Unit(),
		dbconv.ClientConnectionTimeouts{}.Name():        dbconv.ClientConnectionTimeouts{}.Unit(),
		dbconv.ClientConnectionCreateTime{}.Name():      dbconv.ClientConnectionCreateTime{}.Unit(),
		dbconv.ClientConnectionWaitTime{}.Name():        dbconv.ClientConnectionWaitTime{}.Unit(),
		dbconv.ClientConnectionUseTime{}.Name():         dbconv.ClientConnectionUseTime{}.Unit(),
	}
}

func TestNamesUnitsAndAttributesAreThoseOfTheConventions(t *testing.T) {
	b := newBench(t, pool.Limits{})
	b.acquire(context.Background(), t).Release()
	told, wanted := b.told(t), conventions()
	for name, unit := range wanted {
		if m, ok := told[name]; !ok || m.Unit != unit {
			t.Errorf("%s is exported: %v, in %q, not %q", name, ok, m.Unit, unit)
		}
	}
	for name := range told {
		if _, conventional := wanted[name]; !conventional && !strings.HasPrefix(name, "herz.") {
			t.Errorf("%s is neither of the conventions nor of our own", name)
		}
	}
	for _, m := range signal.Metrics() {
		if sum, ok := told[m.Name].Data.(metricdata.Sum[int64]); ok && sum.IsMonotonic != (m.Kind == signal.Counter) {
			t.Errorf("%s rises only: %v", m.Name, sum.IsMonotonic)
		}
	}
	if key := string(dbconv.ClientConnectionCountObservable{}.AttrClientConnectionPoolName("").Key); key != signal.PoolName {
		t.Errorf("the pool's name is under %s, not %s", signal.PoolName, key)
	}
	state := dbconv.ClientConnectionCountObservable{}.AttrClientConnectionState(dbconv.ClientConnectionStateIdle)
	if string(state.Key) != signal.State || state.Value.AsString() != "idle" || dbconv.ClientConnectionStateUsed != "used" {
		t.Errorf("states are told as %v", state)
	}
	for name, v := range values(told[signal.Count]) {
		if want := map[bool]float64{true: 1}[name == "orders idle"]; v != want {
			t.Errorf("%v connections %q, not %v", v, name, want)
		}
	}
}

func TestNumbersAreThoseOfThePool(t *testing.T) {
	b := newBench(t, pool.Limits{MaxOpen: 1}, herzotel.WithAttributes(attribute.String("service", "shop")))
	l := b.acquire(context.Background(), t)
	late, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	if _, err := b.pool.Acquire(late); err == nil {
		t.Fatal("more than MaxOpen")
	}
	l.Discard(errors.New("torn"))
	b.acquire(context.Background(), t).Release()
	told := b.told(t)
	for _, c := range []struct {
		metric, attributes string
		want               float64
	}{
		{signal.Timeouts, "orders shop", 1},
		{signal.WaitTime, "orders shop", 2},
		{signal.UseTime, "orders shop", 2},
		{signal.CreateTime, "orders shop", 2},
		{signal.Closed, "orders error shop", 1},
		{signal.Acquires, "orders shop dialed", 2},
		{signal.Oldest, "orders shop", 0},
		{signal.Max, "orders shop", 1},
	} {
		if got, ok := values(told[c.metric])[c.attributes]; !ok || got != c.want {
			t.Errorf("%s of %q is %v (there: %v), not %v; all: %v", c.metric, c.attributes, got, ok, c.want, values(told[c.metric]))
		}
	}
	_ = b.pool.Close()
	if n := len(values(b.told(t)[signal.Max])); n != 0 {
		t.Errorf("a closed pool has %d numbers", n)
	}
}

// shown gives the spans as lines.
func shown(spans tracetest.SpanStubs) []string {
	var lines []string
	for _, s := range spans {
		attributes := map[attribute.Key]attribute.Value{}
		for _, kv := range s.Attributes {
			attributes[kv.Key] = kv.Value
		}
		line := fmt.Sprintf("%s parent=%v links=%d took=%v", s.Name, s.Parent.IsValid(), len(s.Links), s.EndTime.Sub(s.StartTime) > time.Millisecond)
		for _, key := range []attribute.Key{"herz.acquire.outcome", "herz.acquire.source", "error.type", "herz.discard.reason", "db.state", "db.pool_idle"} {
			if v, ok := attributes[key]; ok {
				line += fmt.Sprintf(" %s=%s", key, v.String())
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func TestLoanOfARecordedTraceHasTwoShortLinkedSpans(t *testing.T) {
	for name, c := range map[string]struct {
		opts []herzotel.Option
		want []string
	}{
		"own names": {nil, []string{
			"herz.pool.acquire parent=true links=0 took=false herz.acquire.outcome=acquired herz.acquire.source=dialed",
			"herz.pool.acquire parent=true links=0 took=true herz.acquire.outcome=acquire_failed error.type=timeout",
			"herz.pool.release parent=true links=1 took=false herz.acquire.outcome=released",
			"herz.pool.acquire parent=true links=0 took=false herz.acquire.outcome=acquired herz.acquire.source=reused",
			"herz.pool.release parent=true links=1 took=false herz.acquire.outcome=released herz.discard.reason=torn",
		}},
		"the article's": {[]herzotel.Option{herzotel.WithArticleAttributes()}, []string{
			"db.GetConn parent=true links=0 took=false herz.acquire.outcome=acquired herz.acquire.source=dialed db.state=acquired",
			"db.GetConn parent=true links=0 took=true herz.acquire.outcome=acquire_failed error.type=timeout db.state=acquire_failed",
			"db.ReleaseConn parent=true links=1 took=false herz.acquire.outcome=released db.state=released db.pool_idle=1",
			"db.GetConn parent=true links=0 took=false herz.acquire.outcome=acquired herz.acquire.source=reused db.state=acquired",
			"db.ReleaseConn parent=true links=1 took=false herz.acquire.outcome=released herz.discard.reason=torn db.state=released db.pool_idle=0",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, pool.Limits{MaxOpen: 1}, c.opts...)
			b.acquire(context.Background(), t).Discard(nil) // nobody's trace: no span; and the next dial is a fresh one
			ctx, request := b.tracer.Tracer("test").Start(context.Background(), "request")
			l := b.acquire(ctx, t)
			late, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			if _, err := b.pool.Acquire(late); err == nil {
				t.Fatal("more than MaxOpen")
			}
			l.Release()
			l = b.acquire(ctx, t)
			l.Discard(errors.New("torn"))
			spans := b.spans.GetSpans()
			if got := shown(spans); !slices.Equal(got, c.want) {
				t.Fatalf("shown\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if spans[2].Links[0].SpanContext.SpanID() != spans[0].SpanContext.SpanID() || spans[2].Parent.SpanID() != request.SpanContext().SpanID() {
				t.Error("the release is not linked to its own acquire, or stands under another parent")
			}
			if spans[1].Status.Code != codes.Error || spans[0].Status.Code == codes.Error {
				t.Error("the failed acquire has no error, or the other one has")
			}
			request.End()
		})
	}
}

func TestWaitInMillisecondsIsOfThoseWhoGotAConnection(t *testing.T) {
	b := newBench(t, pool.Limits{MaxOpen: 1}, herzotel.WithArticleAttributes())
	ctx, request := b.tracer.Tracer("test").Start(context.Background(), "request")
	defer request.End()
	l := b.acquire(ctx, t)
	late, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	_, _ = b.pool.Acquire(late)
	l.Release()
	for _, s := range b.spans.GetSpans() {
		var wait *attribute.KeyValue
		for _, kv := range s.Attributes {
			if kv.Key == "db.wait_ms" {
				wait = &kv
			}
		}
		got := s.Status.Code != codes.Error && s.Name == "db.GetConn"
		if (wait != nil) != got || wait != nil && wait.Value.Type() != attribute.INT64 {
			t.Errorf("%s (%v) has db.wait_ms %v", s.Name, s.Status.Code, wait)
		}
	}
}

func TestWithoutARecordedTraceALoanHasNoSpanAndCostsNoAllocation(t *testing.T) {
	b := newBench(t, pool.Limits{})
	unsampled, span := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())).Tracer("test").Start(context.Background(), "request")
	defer span.End()
	for name, ctx := range map[string]context.Context{"no trace": context.Background(), "not sampled": unsampled} {
		pair := func() { b.acquire(ctx, t).Release() }
		pair()
		if n := testing.AllocsPerRun(2000, pair); n > 0 {
			t.Errorf("%s: %v allocations for a loan and its return", name, n)
		}
	}
	if spans := b.spans.GetSpans(); len(spans) > 0 {
		t.Errorf("%d spans for nobody", len(spans))
	}
	quiet := newBench(t, pool.Limits{}, herzotel.WithoutSpans())
	ctx, request := quiet.tracer.Tracer("test").Start(context.Background(), "request")
	defer request.End()
	quiet.acquire(ctx, t).Release()
	if spans := quiet.spans.GetSpans(); len(spans) > 0 {
		t.Errorf("WithoutSpans: %d spans", len(spans))
	}
}

func TestWhatWasLearnedOfAPoolIsTold(t *testing.T) {
	learner := ceiling.New(ceiling.Config{Logger: slog.New(slog.DiscardHandler)})
	b := newBench(t, pool.Limits{MaxIdleTime: 10 * time.Minute}, herzotel.WithLearner(learner))
	told := learner.Bind(b.pool)
	for i := range 4 {
		told.Observe(pool.Event{
			Kind: pool.ConnectionClosed, At: time.Unix(int64(i), 0), Death: &conn.Death{Cause: conn.PeerFIN, Peer: "db:1", Phase: "idle", Idle: 350 * time.Second},
		})
	}
	for metric, want := range map[string]float64{signal.IdleCeiling: 350, signal.MaxIdleTime: 600} {
		m := b.told(t)[metric]
		points, ok := m.Data.(metricdata.Gauge[float64])
		if !ok || m.Unit != "s" || len(points.DataPoints) != 1 || points.DataPoints[0].Value != want {
			t.Errorf("%s: want a gauge of %v s, got %+v", metric, want, m)
		}
	}
}
