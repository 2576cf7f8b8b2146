package signal

import (
	"strings"

	"herz.example/herz/ceiling"
	"herz.example/herz/pool"
)

// Series is one number of one pool, or of all that have its name.
type Series struct {
	Pool       string
	Metric     string
	Attributes [2]string // as in Point
}

// Readings are the numbers of several pools at one time. Pools of one name are one series: counts add up, of Highest the greatest counts, of Lowest the
// least. The zero value is ready; it belongs to one goroutine.
type Readings struct {
	values map[Series]float64
	order  []Series
}

// Read adds the numbers of one pool; of one that is [OfHTTP] only those whose names are our own, because those of the conventions speak of databases.
func (r *Readings) Read(src pool.Source, t *Tally) {
	name, all := src.Name(), !OfHTTP(src)
	for _, p := range Read(src, t) {
		if all || Own(p.Metric) {
			r.add(Series{name, p.Metric, p.Attributes}, p.Value)
		}
	}
}

// Own reports whether a metric's name is one of ours, and not one of the conventions.
func Own(metric string) bool { return strings.HasPrefix(metric, "herz.") }

// Learn adds what was learned of pools.
func (r *Readings) Learn(lessons []ceiling.Lesson) {
	for i := range lessons {
		r.add(Series{Pool: lessons[i].Pool, Metric: IdleCeiling}, lessons[i].Ceiling.Seconds())
	}
}

func (r *Readings) add(at Series, v float64) {
	if r.values == nil {
		r.values = map[Series]float64{}
	}
	have, seen := r.values[at]
	switch kind := kinds[at.Metric]; {
	case !seen:
		r.order = append(r.order, at)
		r.values[at] = v
	case kind == Highest:
		r.values[at] = max(have, v)
	case kind == Lowest:
		r.values[at] = min(have, v)
	default:
		r.values[at] = have + v
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

// kinds are those of the metrics, by name.
var kinds = func() map[string]Kind {
	set := map[string]Kind{}
	for _, m := range Metrics() {
		set[m.Name] = m.Kind
	}
	return set
}()
