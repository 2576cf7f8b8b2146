package board

import (
	"encoding/json"
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
	collect func() *snapshotJSON // nothing changes what it gave

	// mu guards now, and the fields of a run and its watchers that say so. Nothing that can block happens under it.
	mu  sync.Mutex
	now *run // nil while nobody watches
}

// run is one life of the collecting goroutine, from the first watcher to the last.
type run struct {
	stop, done chan struct{}
	watchers   map[*watcher]struct{} // guarded by hub.mu
	last       *snapshotJSON         // newest; guarded by hub.mu
	whole      []byte                // last as JSON, once somebody wanted it; guarded by hub.mu
	change     []byte                // the same of what changed since the state before; guarded by hub.mu
}

// event is one server-sent event.
type event struct {
	kind string // state or delta
	data []byte
}

// watcher is one stream of events. Its channel is closed when it was too slow.
type watcher struct {
	events  chan event
	run     *run
	deltas  bool // after a whole state it wants only what changes
	begun   bool // it has the newest state; guarded by hub.mu
	dropped bool // guarded by hub.mu
}

// join adds a watcher, who gets the newest state at once when there is one. The caller must leave.
func (h *hub) join(deltas bool) (*watcher, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now == nil {
		h.now = &run{stop: make(chan struct{}), done: make(chan struct{}), watchers: make(map[*watcher]struct{})}
		go h.feed(h.now)
	}
	if len(h.now.watchers) >= h.limit {
		return nil, errTooMany
	}
	w := &watcher{events: make(chan event, backlog), run: h.now, deltas: deltas}
	h.now.watchers[w] = struct{}{}
	if h.now.last != nil {
		h.now.giveLocked(w, nil)
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
		h.tell(r, h.collect())
		select {
		case <-r.stop:
			return
		case <-tick.C:
		}
	}
}

// tell hands a new state to all watchers. To encode it needs the processor for some milliseconds, and nobody but those who come and go waits for that.
func (h *hub) tell(r *run, s *snapshotJSON) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := r.last
	r.last, r.whole, r.change = s, nil, nil
	for w := range r.watchers {
		r.giveLocked(w, before)
	}
}

// giveLocked hands a watcher the newest state, or how it came to be out of the one before, which the watcher has.
func (r *run) giveLocked(w *watcher, before *snapshotJSON) {
	if w.dropped {
		return // It stays in the map until its handler leaves, so that the run outlives it.
	}
	e, err := r.eventLocked(w.deltas && w.begun, before)
	w.begun = err == nil
	if err != nil {
		return // what cannot be encoded is left out; the watcher gets the next state as a whole
	}
	select {
	case w.events <- e:
	default:
		w.dropped = true
		close(w.events)
	}
}

// eventLocked encodes the newest state, or the change to it, once for all who want it.
func (r *run) eventLocked(change bool, before *snapshotJSON) (e event, err error) {
	if change {
		if r.change == nil {
			r.change, err = json.Marshal(diff(before, r.last))
		}
		return event{"delta", r.change}, err
	}
	if r.whole == nil {
		r.whole, err = json.Marshal(r.last)
	}
	return event{"state", r.whole}, err
}
