package board

import (
	"slices"
	"sync"
	"time"

	"herz.example/herz/pool"
)

// leaksKept is how many places are remembered; the one that leaked last longest ago makes room.
const leaksKept = 64

// leaks remembers where leases are lost, or held for long.
type leaks struct {
	// mu guards places. Nothing is called under it.
	mu     sync.Mutex
	places []leakJSON // newest first
}

func (l *leaks) observe(e *pool.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := leakJSON{Pool: e.Pool, Held: e.Held, Stack: e.Stack}
	at := slices.IndexFunc(l.places, func(x leakJSON) bool { return x.Pool == p.Pool && x.Held == p.Held && x.Stack == p.Stack })
	switch {
	case at >= 0:
		p = l.places[at]
		l.places = slices.Delete(l.places, at, at+1)
	case len(l.places) >= leaksKept:
		l.places = l.places[:leaksKept-1]
	}
	p.Count++
	p.Last, p.Conn, p.Seconds = e.At.UTC().Format(time.RFC3339Nano), e.Conn, e.Duration.Seconds()
	l.places = slices.Insert(l.places, 0, p)
}

func (l *leaks) list() []leakJSON {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]leakJSON{}, l.places...)
}
