package pool

import (
	"runtime"
	"time"

	"herz.example/herz/conn"
)

// handle stands for all copies of one sampled lease. When the garbage collector finds that none is left and the lease was not returned,
// the lease is lost: that is a proof and no guess, because whoever wants to return it needs a copy.
type handle struct {
	cleanup runtime.Cleanup
	memo    any // what the observer remembers of the lease. A type with pointers is never put into a block with others, so that the collector sees each on its own
}

// lost names the lease that a handle stood for, without keeping the handle alive.
type lost[T any] struct {
	e   *entry[T]
	seq uint64
}

// watch gives the sampled lease seq of e a handle.
func (p *Pool[T]) watch(e *entry[T], seq uint64) *handle {
	h := &handle{}
	h.cleanup = runtime.AddCleanup(h, func(l lost[T]) { l.e.pool.leaked(l) }, lost[T]{e, seq})
	return h
}

// remembered is what the observer remembers of the lease.
func (h *handle) remembered() any {
	if h == nil {
		return nil
	}
	return h.memo
}

// returned ends the watch of a lease.
func (h *handle) returned() {
	if h != nil {
		h.cleanup.Stop()
	}
}

// leaked reports a lost lease, gives its place back, and destroys the connection: whoever kept the value uses it against the rules.
func (p *Pool[T]) leaked(l lost[T]) {
	e, stack := l.e, l.e.holder.text(l.seq)
	w := e.cell.Load()
	if w.State() != conn.InUse || w.Seq() != l.seq {
		return
	}
	held := max(p.exact()-e.stamp.Load(), 0)
	if !p.bury(e, w, conn.Leaked, errLost) {
		return
	}
	p.emit(Event{Kind: Leaked, Conn: e.id, Generation: e.gen, Cause: conn.Leaked, Duration: time.Duration(held), Stack: stack})
	p.pump()
}
