package herzotel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"herz.example/herz/pool"
	"herz.example/herz/signal"
)

// The keys of attributes of spans.
const (
	keyOutcome = attribute.Key("herz.acquire.outcome")
	keySource  = attribute.Key("herz.acquire.source")
	keyConn    = attribute.Key("herz.connection.id")
	keyWait    = attribute.Key("herz.acquire.wait")
	keyHeld    = attribute.Key("herz.connection.held")
	keyWhy     = attribute.Key("herz.discard.reason")
	keyError   = attribute.Key("error.type")
	keyPool    = attribute.Key(signal.PoolName)

	// The article's, under WithArticleAttributes only: db.* belongs to the conventions.
	keyState  = attribute.Key("db.state")
	keyWaitMs = attribute.Key("db.wait_ms")
	keyIdle   = attribute.Key("db.pool_idle")
)

// loan is what is remembered of a loan whose begin was shown.
type loan struct{ parent, acquire trace.SpanContext }

func (m *meter) names() (acquire, release string) {
	if m.owner.cfg.article {
		return "db.GetConn", "db.ReleaseConn"
	}
	return "herz.pool.acquire", "herz.pool.release"
}

// short makes a span that has ended: it began so long ago, and ends now.
func (m *meter) short(ctx context.Context, name string, took time.Duration, attributes []attribute.KeyValue, err error, links ...trace.Link) trace.SpanContext {
	end := time.Now()
	all := append(append([]attribute.KeyValue{keyPool.String(m.src.Name())}, m.owner.cfg.attributes...), attributes...)
	_, span := m.owner.tracer.Start(ctx, name,
		trace.WithTimestamp(end.Add(-took)), trace.WithSpanKind(trace.SpanKindInternal), trace.WithAttributes(all...), trace.WithLinks(links...))
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End(trace.WithTimestamp(end))
	return span.SpanContext()
}

// acquired shows that a loan began.
func (m *meter) acquired(ctx context.Context, l pool.Loan) any {
	source := "dialed"
	if l.Reused {
		source = "reused"
	}
	all := []attribute.KeyValue{
		keyOutcome.String("acquired"), keySource.String(source), keyConn.Int64(int64(l.Conn)), keyWait.Float64(l.Waited.Seconds()), //nolint:gosec // a small number
	}
	if m.owner.cfg.article {
		all = append(all, keyState.String("acquired"), keyWaitMs.Int64(l.Waited.Milliseconds()))
	}
	name, _ := m.names()
	return &loan{parent: trace.SpanContextFromContext(ctx), acquire: m.short(ctx, name, l.Waited, all, nil)}
}

// failed shows that a caller got nothing.
func (m *meter) failed(ctx context.Context, waited time.Duration, err error) {
	all := []attribute.KeyValue{keyOutcome.String("acquire_failed"), keyError.String(kind(err)), keyWait.Float64(waited.Seconds())}
	if m.owner.cfg.article {
		all = append(all, keyState.String("acquire_failed"))
	}
	name, _ := m.names()
	m.short(ctx, name, waited, all, err)
}

// kind is the type of an error in the few words that a pool has for it.
func kind(err error) string {
	var full *pool.ExhaustedError
	var dial *pool.DialError
	switch {
	case errors.Is(err, pool.ErrClosed):
		return "pool_closed"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &dial):
		return "connection_error"
	case errors.As(err, &full), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	default:
		return "_OTHER"
	}
}

// released shows that a loan has ended, to the parent of the span that showed its begin.
func (m *meter) released(l pool.Loan, of *loan) {
	all := []attribute.KeyValue{keyOutcome.String("released"), keyConn.Int64(int64(l.Conn)), keyHeld.Float64(l.Held.Seconds())} //nolint:gosec // a small number
	if l.Err != nil {
		all = append(all, keyWhy.String(l.Err.Error()))
	}
	if m.owner.cfg.article {
		all = append(all, keyState.String("released"), keyIdle.Int(m.idleAfter(l)))
	}
	_, name := m.names()
	m.short(trace.ContextWithSpanContext(context.Background(), of.parent), name, 0, all, nil, trace.Link{SpanContext: of.acquire})
}

// idleAfter is how many connections are idle once this loan is over: the pool tells of its end before it is.
func (m *meter) idleAfter(l pool.Loan) int {
	st := m.src.Stats()
	if l.Err == nil && st.Waiting == 0 { // else the next in line gets it
		return st.Idle + 1
	}
	return st.Idle
}
