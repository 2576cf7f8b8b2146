package herzprom

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"herz.example/herz/ceiling"
	"herz.example/herz/herzhttp"
	"herz.example/herz/pool"
	"herz.example/herz/signal"
)

// HTTPConfig says what is exported of a herzhttp.Transport. The zero value works. No field may change after NewHTTP.
type HTTPConfig struct {
	// ConstLabels are put on every series. Nil: none.
	ConstLabels prometheus.Labels
	// MaxHosts is how many hosts have series of their own; those that are met later share one, whose host is "other". 0: 100.
	MaxHosts int
	// Learner is as in [Config], for transports with such an observer. It is not heeded beside Pools, which has its own. Nil: that is not exported.
	Learner *ceiling.Learner
	// Pools is a collector that exports pools of databases to the same registry: it takes the metrics of the HTTP pools whose names begin with
	// herz_pool_ and herz_connection_, because a registry takes each name from one collector. Nil: the HTTP collector exports them itself.
	Pools *Collector
	// ArticleNames also exports dns_duration_ms, connect_duration_ms, tls_handshake_ms, connection_health_metrics, dns_starts_total and
	// connect_success_total, for boards that know these. Their names and units are not the conventions'; docs/metrics.md says what they mean.
	ArticleNames bool
}

// HTTP exports what a herzhttp.Transport does. It is made by NewHTTP, given to transports as their Watch and as their Observer, and registered once.
type HTTP struct {
	signals *signal.HTTP
	pools   *Collector
	nested  bool // pools is our own
	article bool
	metrics map[string]described

	note func(signal.Sample) // its own method, made once

	// mu guards what follows. No pool is asked under it.
	mu    sync.RWMutex
	told  map[series]any // *value or *histogram
	bound []*httpMeter
}

// series is one metric with one set of labels.
type series struct {
	metric string
	labels [6]string
}

// value is a counter.
type value struct{ n atomic.Uint64 }

// NewHTTP makes an HTTP.
func NewHTTP(cfg HTTPConfig) *HTTP {
	h := &HTTP{
		signals: signal.NewHTTP(cfg.MaxHosts, cfg.ArticleNames), pools: cfg.Pools, nested: cfg.Pools == nil, article: cfg.ArticleNames,
		metrics: map[string]described{}, told: map[series]any{},
	}
	h.note = h.add
	if h.nested {
		h.pools = New(Config{ConstLabels: cfg.ConstLabels, Learner: cfg.Learner})
	}
	all := signal.HTTPMetrics()
	if cfg.ArticleNames {
		all = append(all, signal.ArticleMetrics()...)
	}
	for _, m := range all {
		var names []string
		for _, key := range m.Attributes {
			names = append(names, signal.PrometheusLabel(key))
		}
		h.metrics[m.Name] = described{m, prometheus.NewDesc(m.Prometheus(), m.Help, names, cfg.ConstLabels)}
	}
	return h
}

// Dialed implements herzhttp.Watch.
func (h *HTTP) Dialed(d herzhttp.Dial) { h.signals.Dialed(&d, h.note) }

// Tried implements herzhttp.Watch.
func (h *HTTP) Tried(t herzhttp.Try) { h.signals.Tried(&t, h.note) }

// add adds a measurement to its series.
func (h *HTTP) add(s signal.Sample) {
	switch known := h.series(series{s.Metric, s.Attributes}).(type) {
	case *histogram:
		known.observe(time.Duration(s.Value * known.per))
	case *value:
		known.n.Add(uint64(s.Value))
	}
}

// series finds a series, or begins it.
func (h *HTTP) series(at series) any {
	h.mu.RLock()
	known, ok := h.told[at]
	h.mu.RUnlock()
	if ok {
		return known
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if known, ok := h.told[at]; ok {
		return known
	}
	known = h.begin(at.metric)
	h.told[at] = known
	return known
}

func (h *HTTP) begin(metric string) any {
	if h.metrics[metric].Kind == signal.Counter {
		return &value{}
	}
	bounds := signal.HTTPBounds(metric)
	if h.metrics[metric].Unit == "s" {
		return newHistogram(nanoseconds(bounds))
	}
	things := make([]int64, len(bounds))
	for i, b := range bounds {
		things[i] = int64(b)
	}
	counts := newHistogram(things)
	counts.per = 1
	return counts
}

// Bind gives the observer for one pool of a herzhttp.Transport. It is called by the pool.
func (h *HTTP) Bind(src pool.Source) pool.Observer {
	m := &httpMeter{owner: h, src: src, meter: newMeter(h.pools, h.signals.Named(src))}
	h.pools.add(m.meter)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bound = append(h.bound, m)
	return m
}

// Observe does nothing: each pool has an observer of its own, see Bind.
func (h *HTTP) Observe(pool.Event) {}

func (h *HTTP) forget(m *httpMeter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bound = slices.DeleteFunc(h.bound, func(x *httpMeter) bool { return x == m })
}

// httpMeter is the observer of one pool.
type httpMeter struct {
	*meter

	owner *HTTP
	src   pool.Source
}

// Observe measures the ends of connections, and what the metrics of our own need.
func (m *httpMeter) Observe(e pool.Event) {
	m.meter.Observe(e)
	m.owner.signals.Closed(e, m.owner.note)
	if e.Kind == pool.PoolClosed {
		m.owner.forget(m)
	}
}

// Lent counts the loan: how long it waited is told by the transport.
func (m *httpMeter) Lent(_ context.Context, l pool.Loan) any {
	m.tally.Lent(l)
	return nil
}

// Returned measures nothing.
func (m *httpMeter) Returned(pool.Loan, any) {}

// Describe implements prometheus.Collector.
func (h *HTTP) Describe(out chan<- *prometheus.Desc) {
	for _, m := range h.metrics {
		out <- m.desc
	}
	if !h.nested {
		return
	}
	for name, m := range h.pools.metrics {
		if signal.Own(name) {
			out <- m.desc
		}
	}
}

// Collect implements prometheus.Collector. It asks each pool once, or twice where it exports herz_pool_ itself.
func (h *HTTP) Collect(out chan<- prometheus.Metric) {
	h.mu.RLock()
	bound, told := slices.Clone(h.bound), maps.Clone(h.told)
	h.mu.RUnlock()
	for at, known := range told {
		switch known := known.(type) {
		case *histogram:
			m := h.metrics[at.metric]
			r := reading{bounds: known.bounds}
			r.add(known)
			out <- r.metric(m.desc, at.labels[:len(m.Attributes)]...)
		case *value:
			h.write(at, float64(known.n.Load()), out)
		}
	}
	now := map[series]float64{}
	for _, m := range bound {
		h.signals.Read(m.src, func(s signal.Sample) { now[series{s.Metric, s.Attributes}] += s.Value })
	}
	if h.article {
		h.signals.Health(func(s signal.Sample) { now[series{s.Metric, s.Attributes}] = s.Value })
	}
	for at, v := range now {
		h.write(at, v, out)
	}
	if h.nested {
		h.pools.Collect(out)
	}
}

func (h *HTTP) write(at series, v float64, out chan<- prometheus.Metric) {
	m := h.metrics[at.metric]
	kind := prometheus.GaugeValue
	if m.Kind == signal.Counter {
		kind = prometheus.CounterValue
	}
	out <- prometheus.MustNewConstMetric(m.desc, kind, v, at.labels[:len(m.Attributes)]...)
}
