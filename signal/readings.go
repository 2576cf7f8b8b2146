package signal

import "herz.example/herz/pool"

// Series is one number of one pool, or of all that have its name.
type Series struct {
	Pool       string
	Metric     string
	Attributes [2]string // as in Point
}

// Readings are the numbers of several pools at one time. Pools of one name are one series: counts add up, and of Highest the greatest counts. The
// zero value is ready; it belongs to one goroutine.
type Readings struct {
	values map[Series]float64
	order  []Series
}

// Read adds the numbers of one pool.
func (r *Readings) Read(src pool.Source, t *Tally) {
	if r.values == nil {
		r.values = map[Series]float64{}
	}
	name := src.Name()
	for _, p := range Read(src, t) {
		at := Series{name, p.Metric, p.Attributes}
		have, seen := r.values[at]
		if !seen {
			r.order = append(r.order, at)
		}
		if highest[p.Metric] {
			r.values[at] = max(have, p.Value)
		} else {
			r.values[at] = have + p.Value
		}
	}
}

// All gives each number, in the order in which it was first read.
func (r *Readings) All(yield func(Series, float64) bool) {
	for _, at := range r.order {
		if !yield(at, r.values[at]) {
			return
		}
	}
}

// highest are the metrics of which the greatest counts.
var highest = func() map[string]bool {
	set := map[string]bool{}
	for _, m := range Metrics() {
		set[m.Name] = m.Kind == Highest
	}
	return set
}()
