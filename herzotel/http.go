package herzotel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"herz.example/herz/herzhttp"
	"herz.example/herz/pool"
	"herz.example/herz/signal"
)

// HTTP tells OpenTelemetry what a herzhttp.Transport does. It is made by NewHTTP and given to transports as their Watch and as their Observer. Metrics are
// told, of the transport's pools those whose names begin with herz., and no spans: those of requests are otelhttp's. An [Observer] for pools of
// databases may have the same meter provider; given to the same transport it would tell its pools a second time.
type HTTP struct {
	cfg     settings
	pools   *Observer
	signals *signal.HTTP
	metrics map[string]signal.Metric
	times   map[string]metric.Float64Histogram
	counts  map[string]metric.Int64Counter
	now     map[string]asynchronous
	stop    metric.Registration

	// mu guards what follows. No pool is asked under it.
	mu    sync.RWMutex
	with  map[point]metric.MeasurementOption
	bound []*httpMeter
}

// point is one metric with one set of attributes.
type point struct {
	metric string
	values [6]string
}

// NewHTTP makes an HTTP, and its instruments with the meter provider, whose errors it returns. Of the options it heeds WithMeterProvider, WithAttributes,
// WithLearner and WithArticleNames.
func NewHTTP(opts ...Option) (*HTTP, error) {
	cfg := newSettings(opts)
	h := &HTTP{
		cfg: cfg, signals: signal.NewHTTP(0, cfg.articleNames), metrics: map[string]signal.Metric{}, times: map[string]metric.Float64Histogram{},
		counts: map[string]metric.Int64Counter{}, now: map[string]asynchronous{}, with: map[point]metric.MeasurementOption{},
	}
	list := signal.HTTPMetrics()
	if cfg.articleNames {
		list = append(list, signal.ArticleMetrics()...)
	}
	m := cfg.meters.Meter(scope)
	var errs []error
	var all []metric.Observable
	for _, s := range list {
		h.metrics[s.Name] = s
		observed, err := h.instrument(m, s)
		errs = append(errs, err)
		if observed != nil {
			all = append(all, observed)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("herz/herzotel: make instruments: %w", err)
	}
	var err error
	if h.stop, err = m.RegisterCallback(h.collect, all...); err != nil {
		return nil, fmt.Errorf("herz/herzotel: register the callback of the instruments: %w", err)
	}
	cfg.spans = false
	own := slices.DeleteFunc(signal.Metrics(), func(s signal.Metric) bool { return !signal.Own(s.Name) })
	if h.pools, err = newObserver(cfg, own); err != nil {
		return nil, errors.Join(err, h.stop.Unregister())
	}
	return h, nil
}

// instrument makes the instrument of one metric. Not nil: it is read.
func (h *HTTP) instrument(m metric.Meter, s signal.Metric) (metric.Observable, error) {
	unit, help := metric.WithUnit(s.Unit), metric.WithDescription(s.Help)
	switch {
	case s.Kind == signal.Histogram:
		made, err := m.Float64Histogram(s.Name, unit, help, metric.WithExplicitBucketBoundaries(signal.HTTPBounds(s.Name)...))
		h.times[s.Name] = made
		return nil, err
	case s.Kind == signal.Counter && s.Name != signal.HTTPTimeouts: // which the pool counts
		made, err := m.Int64Counter(s.Name, unit, help)
		h.counts[s.Name] = made
		return nil, err
	case s.Unit == "ms":
		made, err := m.Float64ObservableGauge(s.Name, unit, help)
		h.now[s.Name] = asynchronous{Metric: s, floats: made}
		return made, err
	}
	a, err := observable(m, s)
	h.now[s.Name] = a
	return a.ints, err
}

// Dialed implements herzhttp.Watch.
func (h *HTTP) Dialed(d herzhttp.Dial) { h.signals.Dialed(&d, h.tell) }

// Tried implements herzhttp.Watch.
func (h *HTTP) Tried(t herzhttp.Try) { h.signals.Tried(&t, h.tell) }

// tell measures.
func (h *HTTP) tell(s signal.Sample) {
	ctx, with := context.Background(), h.attributes(s)
	if count, ok := h.counts[s.Metric]; ok {
		count.Add(ctx, int64(s.Value), with)
	} else {
		h.times[s.Metric].Record(ctx, s.Value, with)
	}
}

// attributes are those of a sample, made once.
func (h *HTTP) attributes(s signal.Sample) metric.MeasurementOption {
	at := point{s.Metric, s.Attributes}
	h.mu.RLock()
	with, ok := h.with[at]
	h.mu.RUnlock()
	if ok {
		return with
	}
	all := slices.Clone(h.cfg.attributes)
	for i, key := range h.metrics[s.Metric].Attributes {
		v := s.Attributes[i]
		if v == "" {
			continue
		}
		if n, err := strconv.Atoi(v); err == nil && (key == signal.ServerPort || key == signal.HTTPStatus) {
			all = append(all, attribute.Int(key, n))
		} else {
			all = append(all, attribute.String(key, v))
		}
	}
	with = metric.WithAttributeSet(attribute.NewSet(all...))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.with[at] = with
	return with
}

// Bind gives the observer for one pool of a herzhttp.Transport. It is called by the pool.
func (h *HTTP) Bind(src pool.Source) pool.Observer {
	m := &httpMeter{meter: h.pools.add(h.signals.Named(src)), owner: h, src: src}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bound = append(h.bound, m)
	return m
}

// Observe does nothing: each pool has an observer of its own, see Bind.
func (h *HTTP) Observe(pool.Event) {}

// Close stops the reading of all pools. What is measured as it happens goes on. It may be called more than once.
func (h *HTTP) Close() error { return errors.Join(h.stop.Unregister(), h.pools.Close()) }

// httpMeter is the observer of one pool. Of loans it measures no time: the transport tells of requests.
type httpMeter struct {
	*meter

	owner *HTTP
	src   pool.Source
}

// Observe measures the ends of connections, and what the metrics of our own need.
func (m *httpMeter) Observe(e pool.Event) {
	m.meter.Observe(e)
	m.owner.signals.Closed(e, m.owner.tell)
	if e.Kind == pool.PoolClosed {
		m.owner.mu.Lock()
		defer m.owner.mu.Unlock()
		m.owner.bound = slices.DeleteFunc(m.owner.bound, func(x *httpMeter) bool { return x == m })
	}
}

// collect reads every pool once, when the SDK collects.
func (h *HTTP) collect(_ context.Context, out metric.Observer) error {
	h.mu.RLock()
	bound := slices.Clone(h.bound)
	h.mu.RUnlock()
	now := map[point]float64{}
	add := func(s signal.Sample) { now[point{s.Metric, s.Attributes}] += s.Value }
	for _, m := range bound {
		h.signals.Read(m.src, add)
	}
	if h.cfg.articleNames {
		h.signals.Health(add)
	}
	for at, v := range now {
		with := h.attributes(signal.Sample{Metric: at.metric, Attributes: at.values})
		if a := h.now[at.metric]; a.ints != nil {
			out.ObserveInt64(a.ints, int64(v), with)
		} else {
			out.ObserveFloat64(a.floats, v, with)
		}
	}
	return nil
}
