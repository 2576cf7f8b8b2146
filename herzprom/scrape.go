package herzprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"herz.example/herz/signal"
)

// series is one number: a metric and the values of its attributes.
type series struct {
	metric     string
	attributes [2]string
}

// scrape adds up what pools of one name show at one time.
type scrape struct {
	pool   string
	values map[series]float64
	order  []series
	times  map[string]*reading
}

func newScrape(pool string) *scrape {
	return &scrape{pool: pool, values: map[series]float64{}, times: map[string]*reading{}}
}

// read adds one pool.
func (s *scrape) read(c *Collector, m *meter) {
	for _, p := range signal.Read(m.src, &m.tally) {
		at := series{p.Metric, p.Attributes}
		have, seen := s.values[at]
		if !seen {
			s.order = append(s.order, at)
		}
		if c.metrics[p.Metric].Kind == signal.Highest {
			s.values[at] = max(have, p.Value)
		} else {
			s.values[at] = have + p.Value
		}
	}
	for name, h := range m.times() {
		if s.times[name] == nil {
			s.times[name] = &reading{bounds: h.bounds}
		}
		s.times[name].add(h)
	}
}

func (s *scrape) write(c *Collector, out chan<- prometheus.Metric) {
	for _, at := range s.order {
		m := c.metrics[at.metric]
		labels := append([]string{s.pool}, at.attributes[:len(m.Attributes)]...)
		kind := prometheus.GaugeValue
		if m.Kind == signal.Counter {
			kind = prometheus.CounterValue
		}
		out <- prometheus.MustNewConstMetric(m.desc, kind, s.values[at], labels...)
		if at == (series{signal.Count, [2]string{"used"}}) {
			out <- prometheus.MustNewConstMetric(c.alias, prometheus.GaugeValue, s.values[at], s.pool)
		}
	}
	for name, r := range s.times {
		out <- r.metric(c.metrics[name].desc, s.pool)
	}
}
