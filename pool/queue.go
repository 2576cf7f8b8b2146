package pool

import (
	"context"
	"time"

	"herz.example/herz/conn"
)

// waiter is one caller of Acquire that waits. It is used again by later callers of the same pool, never of another: a channel
// made inside a synctest bubble must not be met outside of it. It rests in the pool's own list and not in a sync.Pool, which each garbage
// collection empties.
type waiter[T any] struct {
	ch  chan grant[T]   // holds one grant, so that the giver never waits
	ctx context.Context //nolint:containedctx // a waiter is a call of Acquire that lasts; the giver has to see whether it has ended

	// Guarded by Pool.mu.
	prev, next *waiter[T]
	queued     bool
	ticket     uint64 // place in the order of all waiters
	since      int64  // exact time at which the wait began
	until      int64  // end of the wait when the context has none
}

// grant is what a waiter gets: a connection, already moved to InUse for it, or the reason why there will be none.
type grant[T any] struct {
	e   *entry[T]
	seq uint64
	err error
}

// spares are waiters that nobody is, for those who will wait. They are linked by next. All of it is guarded by Pool.mu.
type spares[T any] struct {
	head *waiter[T]
	n    int
}

// sparesMost bounds what is kept after many have waited at once: some 200 kB.
const sparesMost = 1 << 10

func (s *spares[T]) take() *waiter[T] {
	w := s.head
	if w == nil {
		return &waiter[T]{ch: make(chan grant[T], 1)}
	}
	s.head, w.next = w.next, nil
	s.n--
	return w
}

func (s *spares[T]) put(w *waiter[T]) {
	if w != nil && s.n < sparesMost {
		w.next, s.head = s.head, w
		s.n++
	}
}

// retire keeps w, which was given e, for others who will wait. It lies with e until that is returned to the line: whoever holds the lease
// needs no lock for that. A waiter that failed is left to the garbage collector.
func (p *Pool[T]) retire(w *waiter[T], e *entry[T]) {
	w.ctx = nil
	if !p.shared {
		e.spare = w
		return
	}
	p.mu.Lock()
	p.spares.put(w)
	p.mu.Unlock()
}

// queue is the line of waiters, oldest first. All of it is guarded by Pool.mu.
type queue[T any] struct {
	head, tail *waiter[T]
	n          int
}

func (q *queue[T]) pushBack(w *waiter[T]) {
	w.prev, w.next = q.tail, nil
	if q.tail == nil {
		q.head = w
	} else {
		q.tail.next = w
	}
	q.tail = w
	w.queued = true
	q.n++
}

func (q *queue[T]) pushFront(w *waiter[T]) {
	w.prev, w.next = nil, q.head
	if q.head == nil {
		q.tail = w
	} else {
		q.head.prev = w
	}
	q.head = w
	w.queued = true
	q.n++
}

func (q *queue[T]) remove(w *waiter[T]) {
	if w.prev == nil {
		q.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	q.n--
}

// joinLocked puts w into the line. The first one closes the fast path: from here on whoever returns a connection looks at the line.
func (p *Pool[T]) joinLocked(w *waiter[T], front bool) {
	if front {
		p.queue.pushFront(w)
	} else {
		p.ticket++
		w.ticket = p.ticket
		p.queue.pushBack(w)
	}
	if p.queue.n == 1 {
		p.gate.Add(1)
	}
}

// leaveLocked takes w out of the line. The last one opens the fast path.
func (p *Pool[T]) leaveLocked(w *waiter[T]) {
	p.queue.remove(w)
	if p.queue.n == 0 {
		p.gate.Add(-1)
	}
}

// frontLocked gives the oldest waiter whose context has not ended. Those whose context has ended leave with their error:
// no connection is ever given to them.
func (p *Pool[T]) frontLocked() *waiter[T] {
	for w := p.queue.head; w != nil; w = p.queue.head {
		err := w.ctx.Err()
		if err == nil {
			return w
		}
		p.leaveLocked(w)
		w.ch <- grant[T]{err: err}
	}
	return nil
}

// handover is a grant on its way to a waiter who has left the line for it. It is sent once Pool.mu is free, because the waiter wakes at once
// and wants it too. The zero handover is for nobody.
type handover[T any] struct {
	w *waiter[T]
	g grant[T]
}

func (h handover[T]) send() {
	if h.w != nil {
		h.w.ch <- h.g
	}
}

// grantLocked lends e, whose word is old, to the oldest waiter, if there is one; the caller sends what it returns. It tells whether the word was
// still old; where nobody waits, it did not look.
func (p *Pool[T]) grantLocked(e *entry[T], old conn.Word) (h handover[T], moved bool) {
	w := p.frontLocked()
	if w == nil {
		return handover[T]{}, true
	}
	seq, ok := p.lendLocked(e, old)
	if !ok {
		return handover[T]{}, false
	}
	p.leaveLocked(w)
	return handover[T]{w, grant[T]{e: e, seq: seq}}, true
}

// lendLocked makes e, whose word is old, somebody's, or one more lease of it. False: its word was no longer old.
func (p *Pool[T]) lendLocked(e *entry[T], old conn.Word) (seq uint64, ok bool) {
	next, ok := e.cell.Move(old, conn.InUse, old.Leases()+boolInt(p.shared || old.Leases() == 0))
	if !ok {
		return 0, false
	}
	if p.shared {
		p.backoff = backoff{}
		if e.tickets == nil {
			e.tickets = map[uint64]int64{}
		}
		e.tickets[next.Seq()] = p.sinceLocked()
		e.newest = p.glimpse()
	}
	return next.Seq(), true
}

// waitedLocked is the ticket of the newest caller who has waited for d; 0 when there is none.
func (p *Pool[T]) waitedLocked(now int64, d time.Duration) (ticket uint64) {
	for w := p.queue.head; w != nil; w = w.next {
		if now-w.since >= int64(d) {
			ticket = max(ticket, w.ticket)
		}
	}
	return ticket
}

// aheadLocked is how many callers in the line came before w.
func (p *Pool[T]) aheadLocked(w *waiter[T]) (n int) {
	for at := p.queue.head; at != nil && at.ticket < w.ticket; at = at.next {
		n++
	}
	return n
}

// failLocked sends err to every waiter up to and including the given ticket.
func (p *Pool[T]) failLocked(upTo uint64, err error) {
	for w := p.queue.head; w != nil; {
		next := w.next
		if w.ticket <= upTo {
			p.leaveLocked(w)
			w.ch <- grant[T]{err: err}
		}
		w = next
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
