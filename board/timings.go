package board

import (
	"slices"
	"sync"

	"herz.example/herz/pool"
)

const (
	timingsKept = 256 // of each phase
	poolsTimed  = 256 // names of pools; who makes more has made them up
)

// phases are what is timed, in the order in which they are shown.
var phases = [...]string{"dial", "ping"}

// timings remembers how long phases took, by the names of pools.
type timings struct {
	// mu guards pools and what they lead to. Nothing is called under it.
	mu    sync.Mutex
	pools map[string]*[len(phases)]stretch
}

// stretch is the newest few of one phase.
type stretch struct {
	count   uint64
	seconds [timingsKept]float64
}

func (t *timings) observe(e *pool.Event) {
	phase := 0
	switch {
	case e.Kind == pool.ConnectionReady:
	case e.Kind == pool.Heartbeat && e.Err == nil:
		phase = 1
	default:
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.pools[e.Pool]
	if of == nil {
		if len(t.pools) >= poolsTimed {
			return
		}
		if t.pools == nil {
			t.pools = map[string]*[len(phases)]stretch{}
		}
		of = new([len(phases)]stretch)
		t.pools[e.Pool] = of
	}
	s := &of[phase]
	s.seconds[s.count%timingsKept] = e.Duration.Seconds()
	s.count++
}

// of lists the phases of one pool that happened.
func (t *timings) of(name string) []timingJSON {
	list := []timingJSON{}
	t.mu.Lock()
	p := t.pools[name]
	var copied [len(phases)]stretch
	if p != nil {
		copied = *p
	}
	t.mu.Unlock()
	for i := range copied {
		s := &copied[i]
		if s.count == 0 {
			continue
		}
		sorted := s.seconds[:min(s.count, timingsKept)]
		slices.Sort(sorted)
		last := len(sorted) - 1
		list = append(list, timingJSON{
			Phase: phases[i], Count: s.count, P50Seconds: sorted[last/2], P99Seconds: sorted[last*99/100], MaxSeconds: sorted[last],
		})
	}
	return list
}
