package herzotel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"herz.example/herz/pool"
	"herz.example/herz/signal"
)

// scope is the name of what is measured with, as OpenTelemetry calls it.
const scope = "herz.example/herz/herzotel"

// Observer is a pool.Binder: each pool to which it is given gets an observer of its own.
type Observer struct {
	cfg    settings
	tracer trace.Tracer // nil: no spans
	times  map[string]metric.Float64Histogram
	now    map[string]asynchronous
	stop   metric.Registration

	// mu guards bound. No pool is asked under it.
	mu    sync.Mutex
	bound []*meter
}

// asynchronous is an instrument that is read when somebody collects.
type asynchronous struct {
	signal.Metric

	ints   metric.Int64Observable // nil: seconds
	floats metric.Float64Observable
}

// New makes an Observer, and its instruments with the meter provider, whose errors it returns.
func New(opts ...Option) (*Observer, error) { return newObserver(newSettings(opts), signal.Metrics()) }

func newObserver(cfg settings, list []signal.Metric) (*Observer, error) {
	o := &Observer{cfg: cfg, times: map[string]metric.Float64Histogram{}, now: map[string]asynchronous{}}
	if cfg.spans {
		o.tracer = cfg.tracers.Tracer(scope)
	}
	m := cfg.meters.Meter(scope)
	var errs []error
	var all []metric.Observable
	for _, s := range list {
		if s.Kind == signal.Histogram {
			h, err := m.Float64Histogram(s.Name, metric.WithUnit(s.Unit), metric.WithDescription(s.Help), metric.WithExplicitBucketBoundaries(bounds(s)...))
			o.times[s.Name], errs = h, append(errs, err)
			continue
		}
		a, err := observable(m, s)
		o.now[s.Name], errs = a, append(errs, err)
		if a.ints != nil {
			all = append(all, a.ints)
		} else {
			all = append(all, a.floats)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("herz/herzotel: make instruments: %w", err)
	}
	var err error
	if o.stop, err = m.RegisterCallback(o.collect, all...); err != nil {
		return nil, fmt.Errorf("herz/herzotel: register the callback of the instruments: %w", err)
	}
	return o, nil
}

func bounds(s signal.Metric) []float64 {
	if s.Name == signal.IdleAtDeath {
		return signal.IdleSeconds()
	}
	return signal.Seconds()
}

// observable makes the instrument of a metric that is read. Numbers are whole ones, but for seconds.
func observable(m metric.Meter, s signal.Metric) (a asynchronous, err error) {
	a.Metric = s
	unit, help := metric.WithUnit(s.Unit), metric.WithDescription(s.Help)
	switch {
	case s.Unit == "s":
		a.floats, err = m.Float64ObservableGauge(s.Name, unit, help)
	case s.Kind == signal.Counter:
		a.ints, err = m.Int64ObservableCounter(s.Name, unit, help)
	case s.Kind == signal.Highest, s.Kind == signal.Lowest:
		a.ints, err = m.Int64ObservableGauge(s.Name, unit, help)
	default:
		a.ints, err = m.Int64ObservableUpDownCounter(s.Name, unit, help)
	}
	return a, err
}

// Bind gives the observer for one pool. It is called by the pool.
func (o *Observer) Bind(src pool.Source) pool.Observer { return o.add(src) }

// Observe does nothing: each pool has an observer of its own, see Bind.
func (o *Observer) Observe(pool.Event) {}

// Add shows the numbers of a source that has another observer, or of a database that Herz did not open, without times and spans. remove takes it off again
// and may be called more than once.
func (o *Observer) Add(src pool.Source) (remove func()) {
	m := o.add(src)
	return func() { o.forget(m) }
}

// Close stops the reading of all pools. Times and spans of those that are open go on. It may be called more than once.
func (o *Observer) Close() error { return o.stop.Unregister() }

func (o *Observer) add(src pool.Source) *meter {
	m := newMeter(o, src)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bound = append(o.bound, m)
	return m
}

func (o *Observer) forget(m *meter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bound = slices.DeleteFunc(o.bound, func(x *meter) bool { return x == m })
}

// collect reads every pool once, when the SDK collects.
func (o *Observer) collect(_ context.Context, out metric.Observer) error {
	o.mu.Lock()
	bound := slices.Clone(o.bound)
	o.mu.Unlock()
	var now signal.Readings
	for _, m := range bound {
		now.Read(m.src, &m.tally)
	}
	if o.cfg.learner != nil {
		now.Learn(o.cfg.learner.Lessons())
	}
	for at, v := range now.All {
		a := o.now[at.Metric]
		with := metric.WithAttributes(o.attributes(at.Pool, a.Metric, at.Attributes)...)
		if a.ints != nil {
			out.ObserveInt64(a.ints, int64(v), with)
		} else {
			out.ObserveFloat64(a.floats, v, with)
		}
	}
	return nil
}

func (o *Observer) attributes(name string, m signal.Metric, values [2]string) []attribute.KeyValue {
	all := append(slices.Clone(o.cfg.attributes), attribute.String(signal.PoolName, name))
	for i, key := range m.Attributes {
		all = append(all, attribute.String(key, values[i]))
	}
	return all
}
