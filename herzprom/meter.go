package herzprom

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"herz.example/herz/pool"
	"herz.example/herz/signal"
)

// meter measures one pool. It is what the collector gives to it as its observer.
type meter struct {
	owner  *Collector
	src    pool.Source
	labels func(context.Context) prometheus.Labels // nil: no exemplars
	own    bool                                    // only metrics with names of our own: it is a pool of HTTP

	wait, use, create, rtt, idleAtDeath *histogram
	tally                               signal.Tally
}

func newMeter(owner *Collector, src pool.Source) *meter {
	b := owner.bounds
	return &meter{
		owner: owner, src: src, labels: owner.cfg.Exemplar, own: signal.OfHTTP(src),
		wait: newHistogram(b), use: newHistogram(b), create: newHistogram(b), rtt: newHistogram(b), idleAtDeath: newHistogram(idleBounds),
	}
}

// times are the histograms by the names of their metrics.
func (m *meter) times() map[string]*histogram {
	return map[string]*histogram{
		signal.WaitTime: m.wait, signal.UseTime: m.use, signal.CreateTime: m.create, signal.HeartbeatRT: m.rtt, signal.IdleAtDeath: m.idleAtDeath,
	}
}

// Observe measures what is told by events.
func (m *meter) Observe(e pool.Event) {
	switch e.Kind { //nolint:exhaustive // the others have no time, or their numbers are the pool's own
	case pool.ConnectionReady:
		m.create.observe(e.Duration)
	case pool.Heartbeat:
		if e.Err == nil {
			m.rtt.observe(e.Duration)
		}
	case pool.ConnectionClosed:
		if e.Death != nil && !e.Death.Cause.Ours() {
			m.idleAtDeath.observe(e.Death.Idle)
		}
	case pool.Leaked:
		m.tally.Observe(e)
	case pool.PoolClosed:
		m.owner.forget(m)
	}
}

// Lent measures the wait.
func (m *meter) Lent(ctx context.Context, l pool.Loan) any {
	bucket := m.wait.observe(l.Waited)
	m.tally.Lent(l)
	if l.Waited > 0 && m.labels != nil {
		m.wait.remember(ctx, bucket, l.Waited, m.labels)
	}
	return nil
}

// Refused measures nothing: the wait of one who got nothing is no time to obtain a connection. The pool counts him.
func (m *meter) Refused(context.Context, time.Duration, error) {}

// Returned measures the use.
func (m *meter) Returned(l pool.Loan, _ any) { m.use.observe(l.Held) }
