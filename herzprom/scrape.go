package herzprom

import (
	"github.com/prometheus/client_golang/prometheus"

	"herz.example/herz/signal"
)

// scrape is what all pools show at one time.
type scrape struct {
	numbers signal.Readings
	times   map[timed]*reading
}

// timed is the histogram of one metric, of all pools of one name.
type timed struct{ pool, metric string }

// read adds one pool.
func (s *scrape) read(m *meter) {
	s.numbers.Read(m.src, &m.tally)
	for name, h := range m.times() {
		if m.own && !signal.Own(name) {
			continue
		}
		at := timed{m.src.Name(), name}
		if s.times[at] == nil {
			s.times[at] = &reading{bounds: h.bounds}
		}
		s.times[at].add(h)
	}
}

func (s *scrape) write(c *Collector, out chan<- prometheus.Metric) {
	for at, v := range s.numbers.All {
		m := c.metrics[at.Metric]
		labels := append([]string{at.Pool}, at.Attributes[:len(m.Attributes)]...)
		kind := prometheus.GaugeValue
		if m.Kind == signal.Counter {
			kind = prometheus.CounterValue
		}
		out <- prometheus.MustNewConstMetric(m.desc, kind, v, labels...)
		if at.Metric == signal.Count && at.Attributes[0] == "used" {
			out <- prometheus.MustNewConstMetric(c.alias, prometheus.GaugeValue, v, at.Pool)
		}
	}
	for at, r := range s.times {
		out <- r.metric(c.metrics[at.metric].desc, at.pool)
	}
}
