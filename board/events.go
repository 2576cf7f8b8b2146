package board

import (
	"errors"
	"sync"
	"time"
)

// backlog is how many events a watcher may be behind before it is dropped.
const backlog = 3

var errTooMany = errors.New("too many watchers: close another page, or raise Config.MaxWatchers")

// hub feeds all watchers from one collecting goroutine.
type hub struct {
	every   time.Duration
	limit   int
	collect func() ([]byte, error)

	// mu guards now, and the fields of a run that say so. Nothing that can block happens under it.
	mu  sync.Mutex
	now *run // nil while nobody watches
}

// run is one life of the collecting goroutine, from the first watcher to the last.
type run struct {
	stop, done chan struct{}
	watchers   map[*watcher]struct{} // guarded by hub.mu
	last       []byte                // newest event; guarded by hub.mu
}

// watcher is one stream of events. Its channel is closed when it was too slow.
type watcher struct {
	events  chan []byte
	run     *run
	dropped bool // guarded by hub.mu
}

// join adds a watcher, who gets the newest event at once when there is one. The caller must leave.
func (h *hub) join() (*watcher, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now == nil {
		h.now = &run{stop: make(chan struct{}), done: make(chan struct{}), watchers: make(map[*watcher]struct{})}
		go h.feed(h.now)
	}
	if len(h.now.watchers) >= h.limit {
		return nil, errTooMany
	}
	w := &watcher{events: make(chan []byte, backlog), run: h.now}
	h.now.watchers[w] = struct{}{}
	if h.now.last != nil {
		w.events <- h.now.last
	}
	return w, nil
}

// leave removes a watcher. The last one waits for the collecting goroutine to end, which takes one collection at most.
func (h *hub) leave(w *watcher) {
	if h.remove(w) {
		close(w.run.stop)
		<-w.run.done
	}
}

func (h *hub) remove(w *watcher) (last bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(w.run.watchers, w)
	if len(w.run.watchers) > 0 || h.now != w.run {
		return false
	}
	h.now = nil
	return true
}

func (h *hub) feed(r *run) {
	defer close(r.done)
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	for {
		// A snapshot that cannot be encoded is left out; the watchers get the next one.
		if event, err := h.collect(); err == nil {
			h.tell(r, event)
		}
		select {
		case <-r.stop:
			return
		case <-tick.C:
		}
	}
}

func (h *hub) tell(r *run, event []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.last = event
	for w := range r.watchers {
		if w.dropped {
			continue // It stays in the map until its handler leaves, so that the run outlives it.
		}
		select {
		case w.events <- event:
		default:
			w.dropped = true
			close(w.events)
		}
	}
}
