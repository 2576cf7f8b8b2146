package herzotel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"herz.example/herz/pool"
	"herz.example/herz/signal"
)

// meter is the observer of one pool.
type meter struct {
	owner *Observer
	src   pool.Source
	tally signal.Tally
	with  []metric.RecordOption // the attributes of this pool, made once

	wait, use, create, rtt, idleAtDeath metric.Float64Histogram // nil: it is not told of this pool
}

func newMeter(o *Observer, src pool.Source) *meter {
	set := attribute.NewSet(o.attributes(src.Name(), signal.Metric{}, [2]string{})...)
	m := &meter{
		owner: o, src: src, with: []metric.RecordOption{metric.WithAttributeSet(set)}, rtt: o.times[signal.HeartbeatRT], idleAtDeath: o.times[signal.IdleAtDeath],
	}
	if !signal.OfHTTP(src) {
		m.wait, m.use, m.create = o.times[signal.WaitTime], o.times[signal.UseTime], o.times[signal.CreateTime]
	}
	return m
}

// Observe measures what is told by events.
func (m *meter) Observe(e pool.Event) {
	switch e.Kind { //nolint:exhaustive // the others have no time, or their numbers are the pool's own
	case pool.ConnectionReady:
		m.record(context.Background(), m.create, e.Duration)
	case pool.Heartbeat:
		if e.Err == nil {
			m.record(context.Background(), m.rtt, e.Duration)
		}
	case pool.ConnectionClosed:
		if e.Death != nil && !e.Death.Cause.Ours() {
			m.record(context.Background(), m.idleAtDeath, e.Death.Idle)
		}
	case pool.Leaked:
		m.tally.Observe(e)
	case pool.PoolClosed:
		m.owner.forget(m)
	}
}

func (m *meter) record(ctx context.Context, h metric.Float64Histogram, d time.Duration) {
	if h != nil {
		h.Record(ctx, d.Seconds(), m.with...)
	}
}

// Lent measures the wait, and shows it to the caller's trace.
func (m *meter) Lent(ctx context.Context, l pool.Loan) any {
	m.tally.Lent(l)
	m.record(ctx, m.wait, l.Waited)
	if !m.traced(ctx) {
		return nil
	}
	return m.acquired(ctx, l)
}

// Refused shows the wait to the caller's trace. It is no time to obtain a connection, so that no metric has it; the pool counts him.
func (m *meter) Refused(ctx context.Context, waited time.Duration, err error) {
	if m.traced(ctx) {
		m.failed(ctx, waited, err)
	}
}

// Returned measures the use, and shows the end of the loan to the trace that its begin was shown to.
func (m *meter) Returned(l pool.Loan, memo any) {
	m.record(context.Background(), m.use, l.Held)
	if t, ok := memo.(*loan); ok {
		m.released(l, t)
	}
}

func (m *meter) traced(ctx context.Context) bool {
	return m.owner.tracer != nil && trace.SpanFromContext(ctx).IsRecording()
}
