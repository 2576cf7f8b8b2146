package herzprom

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// histogram counts times, or things. It is written by loans, so that it is no more than a few atomic numbers.
type histogram struct {
	bounds    []int64 // upper ends, in nanoseconds, ascending
	per       float64 // how many of that make one of what is shown
	counts    []atomic.Uint64
	sum       atomic.Int64 // nanoseconds
	exemplars []atomic.Pointer[prometheus.Exemplar]
}

func newHistogram(bounds []int64) *histogram {
	n := len(bounds) + 1
	return &histogram{bounds: bounds, per: float64(time.Second), counts: make([]atomic.Uint64, n), exemplars: make([]atomic.Pointer[prometheus.Exemplar], n)}
}

// observe counts d and tells in which bucket it lies.
func (h *histogram) observe(d time.Duration) (bucket int) {
	ns := int64(d)
	if ns > 0 {
		bucket, _ = slices.BinarySearch(h.bounds, ns)
		h.sum.Add(ns)
	}
	h.counts[bucket].Add(1)
	return bucket
}

// remember keeps the newest exemplar of a bucket.
func (h *histogram) remember(ctx context.Context, bucket int, d time.Duration, labels func(context.Context) prometheus.Labels) {
	if l := labels(ctx); len(l) > 0 {
		h.exemplars[bucket].Store(&prometheus.Exemplar{Value: d.Seconds(), Labels: l, Timestamp: time.Now()})
	}
}

// reading is what a histogram shows at a scrape. Several can be added.
type reading struct {
	bounds    []int64
	per       float64
	counts    []uint64
	sum       int64
	exemplars []*prometheus.Exemplar
}

func (r *reading) add(h *histogram) {
	if r.counts == nil {
		r.counts, r.exemplars = make([]uint64, len(h.counts)), make([]*prometheus.Exemplar, len(h.counts))
	}
	r.per = h.per
	r.sum += h.sum.Load()
	for i := range h.counts {
		r.counts[i] += h.counts[i].Load()
		if e := h.exemplars[i].Load(); e != nil && (r.exemplars[i] == nil || e.Timestamp.After(r.exemplars[i].Timestamp)) {
			r.exemplars[i] = e
		}
	}
}

// metric turns it into what Prometheus wants: counts up to each bound, seconds.
func (r *reading) metric(desc *prometheus.Desc, labels ...string) prometheus.Metric {
	buckets, total := make(map[float64]uint64, len(r.bounds)), uint64(0)
	for i, n := range r.counts {
		total += n
		if i < len(r.bounds) {
			buckets[float64(r.bounds[i])/r.per] = total
		}
	}
	m := prometheus.MustNewConstHistogram(desc, total, float64(r.sum)/r.per, buckets, labels...)
	var shown []prometheus.Exemplar
	for _, e := range r.exemplars {
		if e != nil {
			shown = append(shown, *e)
		}
	}
	if len(shown) == 0 {
		return m
	}
	with, err := prometheus.NewMetricWithExemplars(m, shown...)
	if err != nil {
		return m // labels that Prometheus does not take: the numbers matter more
	}
	return with
}
