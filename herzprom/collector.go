package herzprom

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"herz.example/herz/ceiling"
	"herz.example/herz/pool"
	"herz.example/herz/signal"
)

// Config says what is exported. The zero value works. No field may change after New.
type Config struct {
	// ConstLabels are put on every series. Nil: none.
	ConstLabels prometheus.Labels
	// Exemplar gives the labels of an exemplar for the wait of a caller who had to wait, from his context: as a rule the id of his trace, if that is
	// recorded. Nil, or no labels: no exemplar.
	Exemplar func(ctx context.Context) prometheus.Labels
	// Buckets are the upper ends, in seconds and ascending, of the histograms of waits, uses, dials and heartbeats. Nil: 50 µs to 10 s in
	// steps of two to two and a half.
	Buckets []float64
	// Learner tells after how long something else closes idle connections, as herz_pool_idle_ceiling_seconds. It has to be an observer of the pools, too.
	// Nil: that is not exported.
	Learner *ceiling.Learner
}

// ActiveConnections is the alias of db_client_connection_count of the state used, for boards that know that name.
const ActiveConnections = "herz_pool_active_connections"

var idleBounds = nanoseconds(signal.IdleSeconds())

func nanoseconds(seconds []float64) []int64 {
	bounds := make([]int64, len(seconds))
	for i, s := range seconds {
		bounds[i] = int64(s * float64(time.Second))
	}
	return bounds
}

// Collector exports pools. It is made by New, given to pools as their observer, and registered once.
type Collector struct {
	cfg     Config
	bounds  []int64
	metrics map[string]described
	alias   *prometheus.Desc

	// mu guards meters. No pool is asked under it.
	mu     sync.Mutex
	meters []*meter
}

// described is a metric with what Prometheus calls its description.
type described struct {
	signal.Metric

	desc *prometheus.Desc
}

// New makes a Collector. It panics on buckets that do not ascend, as prometheus.NewHistogram does.
func New(cfg Config) *Collector {
	if cfg.Buckets == nil {
		cfg.Buckets = signal.Seconds()
	}
	if !slices.IsSorted(cfg.Buckets) || len(slices.Compact(slices.Clone(cfg.Buckets))) != len(cfg.Buckets) {
		panic(fmt.Sprintf("herz/herzprom: Config.Buckets %v do not ascend", cfg.Buckets)) //nolint:forbidigo // a program error at start
	}
	c := &Collector{cfg: cfg, bounds: nanoseconds(cfg.Buckets), metrics: map[string]described{}}
	for _, m := range signal.Metrics() {
		c.metrics[m.Name] = described{m, prometheus.NewDesc(m.Prometheus(), m.Help, labels(m), cfg.ConstLabels)}
	}
	c.alias = prometheus.NewDesc(ActiveConnections, "The same as db_client_connection_count of the state used.", labels(signal.Metric{}), cfg.ConstLabels)
	return c
}

func labels(m signal.Metric) []string {
	all := []string{signal.PrometheusLabel(signal.PoolName)}
	for _, key := range m.Attributes {
		all = append(all, signal.PrometheusLabel(key))
	}
	return all
}

// Bind gives the observer for one pool. It is called by the pool.
func (c *Collector) Bind(src pool.Source) pool.Observer { return c.add(newMeter(c, src)) }

// Observe does nothing: each pool has an observer of its own, see Bind.
func (c *Collector) Observe(pool.Event) {}

// Add exports a source that has another observer, or a database that Herz did not open: its numbers, without times. remove takes it off again and may
// be called more than once.
func (c *Collector) Add(src pool.Source) (remove func()) {
	m := c.add(newMeter(c, src))
	return func() { c.forget(m) }
}

func (c *Collector) add(m *meter) *meter {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.meters = append(c.meters, m)
	return m
}

func (c *Collector) forget(m *meter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.meters = slices.DeleteFunc(c.meters, func(x *meter) bool { return x == m })
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		out <- m.desc
	}
	out <- c.alias
}

// Collect implements prometheus.Collector. It asks each pool once.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	meters := slices.Clone(c.meters)
	c.mu.Unlock()
	now := scrape{times: map[timed]*reading{}}
	for _, m := range meters {
		now.read(m)
	}
	if c.cfg.Learner != nil {
		now.numbers.Learn(c.cfg.Learner.Lessons())
	}
	now.write(c, out)
}
