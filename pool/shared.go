package pool

import (
	"context"
	"math/rand/v2"

	"herz.example/herz/conn"
)

// This file is the pool where one connection takes several leases (Config.Shares). All moves are made under Pool.mu there, but for those
// of a check. An entry is in the idle list while it may have room for another lease, whether it is Idle or InUse.

// heldShared reports whether the loan l lasts.
func (p *Pool[T]) heldShared(l Lease[T]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, held := l.e.tickets[l.seq]
	return held
}

// releaseShared ends the loan l. With a fault the connection takes no more leases, and is closed when the last one has ended. False: the
// loan had ended before.
func (p *Pool[T]) releaseShared(l Lease[T], fault error) bool {
	if p.told || p.calls != nil {
		if !p.heldShared(l) {
			return false
		}
		p.emitReturned(l, fault)
	}
	return p.endShared(l, fault)
}

// endShared is releaseShared without its event.
func (p *Pool[T]) endShared(l Lease[T], fault error) bool {
	e := l.e
	now := p.now()
	p.mu.Lock()
	if _, held := e.tickets[l.seq]; !held {
		p.mu.Unlock()
		return false
	}
	delete(e.tickets, l.seq)
	e.touch(now)
	if fault != nil && e.doomed == conn.None {
		e.doomed = causeOf(fault)
	}
	w := e.cell.Load()
	cause := p.unfitShared(e, w)
	if cause != conn.None && e.listed {
		p.idle.remove(e)
	}
	after := p.lowerLocked(e, w, cause)
	calm := after == keepIt && cause == conn.None && p.queue.n == 0 // there is one place more, and nobody who wants it
	p.mu.Unlock()
	switch after {
	case buryIt:
		p.bury(e, w, cause, fault)
	case resetIt:
		p.startCheck(e, e.cell.Load(), resetting)
	case keepIt:
	}
	if !calm {
		p.pump()
	}
	return true
}

// afterLease is what is left to do with a connection after one of its leases ended.
type afterLease uint8

const (
	keepIt afterLease = iota
	buryIt
	resetIt
)

// lowerLocked takes one lease off e. The last one leaves it idle, unless it is unfit or has to be reset first.
func (p *Pool[T]) lowerLocked(e *entry[T], w conn.Word, cause conn.Cause) afterLease {
	last := w.Leases() == 1
	switch {
	case last && cause != conn.None:
		e.doomed = cause // a pump may be looking at it
		return buryIt
	case last && e.doubted != nil && !e.lending:
		p.checkAloneLocked(e, w)
		return keepIt
	case last && p.cfg.Reset != nil && !e.lending:
		if e.listed {
			p.idle.remove(e)
		}
		e.cell.Move(w, conn.Idle, 0) // out of every list: nobody finds it
		return resetIt
	case last:
		e.cell.Move(w, conn.Idle, 0)
	default:
		e.cell.Move(w, conn.InUse, w.Leases()-1)
	}
	p.listLocked(e, cause)
	return keepIt
}

// listLocked lays a connection that may have room where pumps find it.
func (p *Pool[T]) listLocked(e *entry[T], unfit conn.Cause) {
	if unfit == conn.None && !e.listed && !e.lending && e.doubted == nil {
		p.insertLocked(e)
	}
}

// unfitShared is why e takes no more leases.
func (p *Pool[T]) unfitShared(e *entry[T], w conn.Word) conn.Cause {
	switch {
	case e.doomed != conn.None:
		return e.doomed
	case p.phase != open:
		return conn.Drained
	case p.excess && p.places > p.rules.Load().MaxOpen:
		return conn.Shrunk
	default:
		return p.unfitness(e, w)
	}
}

// placeSharedLocked lays a connection without leases into the list of those with room.
func (p *Pool[T]) placeSharedLocked(e *entry[T], w conn.Word) (moved, died bool) {
	if w.State() != conn.Idle {
		if _, ok := e.cell.Move(w, conn.Idle, 0); !ok {
			return false, false
		}
	}
	p.leftLocked(e, w)
	e.check = nil // also one that was to be cut and was answered just in time
	p.insertLocked(e)
	if e.dead() {
		p.idle.remove(e)
		return true, true
	}
	p.restLocked(e)
	return true, false
}

// pumpShared gives waiters the room there is. Shares is asked for each loan, without the lock; meanwhile the entry is marked, so that
// nobody else lends it.
func (p *Pool[T]) pumpShared() {
	for {
		p.mu.Lock()
		var e *entry[T]
		if p.frontLocked() != nil {
			e = p.takeIdleLocked()
		}
		if e == nil {
			p.growLocked()
			p.mu.Unlock()
			return
		}
		p.takenLocked(e)
		state := e.cell.Load().State()
		p.mu.Unlock()
		v, cause, room := p.examineShared(e, state)
		if !p.offer(e, v, cause, room) {
			return
		}
	}
}

// examineShared is examine, and says how many leases e takes now. The caller has marked it. State is what it was then.
func (p *Pool[T]) examineShared(e *entry[T], state conn.State) (v verdict, cause conn.Cause, room int) {
	v, cause = p.examine(e, p.rules.Load(), p.now())
	if v == suspect && state == conn.InUse {
		v = fit // its other users are the proof of life
	}
	if v == fit {
		room = min(p.cfg.Shares(e.value), conn.MaxLeases)
	}
	return v, cause, room
}

// takeShared lends the caller a connection that has room, when nobody waits for one: he need not join the line, for which nobody has to be woken.
// Others who join it meanwhile are served after him.
func (p *Pool[T]) takeShared() (Lease[T], bool) {
	p.mu.Lock()
	var e *entry[T]
	if p.phase == open && p.queue.n == 0 {
		e = p.takeIdleLocked()
	}
	if e == nil {
		p.mu.Unlock()
		return Lease[T]{}, false
	}
	p.takenLocked(e)
	state := e.cell.Load().State()
	p.mu.Unlock()
	v, cause, room := p.examineShared(e, state)
	seq, ok := p.lendShared(e, v, room)
	if !ok {
		p.offer(e, v, cause, room) // which knows what to do with it
		return Lease[T]{}, false
	}
	return p.begin(e, seq, p.now()), true
}

// lendShared lends the caller e, which he has marked and examined, if it is still as he found it.
func (p *Pool[T]) lendShared(e *entry[T], v verdict, room int) (seq uint64, ok bool) {
	if v != fit {
		return 0, false
	}
	p.mu.Lock()
	w := e.cell.Load()
	sound := e.doomed == conn.None && e.doubted == nil && !e.dead() && (w.State() == conn.Idle || w.State() == conn.InUse)
	if p.phase != open || !sound || room <= w.Leases() {
		p.mu.Unlock()
		return 0, false
	}
	if seq, ok = p.lendLocked(e, w); !ok {
		p.mu.Unlock()
		return 0, false
	}
	p.settledLocked(e)
	p.freshLocked(w, room)
	if room > w.Leases()+1 {
		p.insertLocked(e)
	}
	line := p.queue.n > 0
	if !line {
		p.growLocked() // one that rests may be missing now
	}
	p.mu.Unlock()
	if line {
		p.pump()
	}
	return seq, true
}

// freshLocked learns from a connection, whose word is w, how many leases a new one takes.
func (p *Pool[T]) freshLocked(w conn.Word, room int) {
	if p.fresh == 0 || room > 1 && (w.Seq() == 0 || room > p.fresh) {
		p.fresh = max(room, 1)
	}
}

// offer ends the look at e: it lends it, leaves it out, or closes it. False: there is no use in going on now.
func (p *Pool[T]) offer(e *entry[T], v verdict, cause conn.Cause, room int) bool {
	p.mu.Lock()
	p.settledLocked(e)
	w := e.cell.Load()
	idle := w.State() == conn.Idle
	if e.doomed != conn.None {
		v, cause = unfit, e.doomed // meanwhile one of its leases ended with a fault
	}
	if v == fit {
		p.freshLocked(w, room)
	}
	switch {
	case v == fit && idle && room <= 0 && e.doubted == nil:
		// It takes no lease though it has none: the peer said goodbye, or never allows any. After one that never served the next dial waits a little.
		v, cause = unfit, conn.GoAway
		if w.Seq() == 0 {
			p.backoff.fail(p.exact(), rand.Float64())
		}
	case w.State() != conn.InUse && !idle:
		p.mu.Unlock()
		return true
	case e.doubted != nil && v != unfit:
		if idle {
			p.checkAloneLocked(e, w)
		}
		p.mu.Unlock()
		return true
	}
	switch {
	case v == unfit:
		if e.doomed == conn.None {
			e.doomed = cause
		}
		p.mu.Unlock()
		if idle {
			p.bury(e, w, cause, nil)
		}
		return true
	case v == suspect && idle:
		p.takenLocked(e) // until it counts as being checked: in a gap somebody would dial beside it
		p.mu.Unlock()
		return p.checkForWaiter(e, w)
	case room <= w.Leases():
		p.mu.Unlock()
		return true // full: the return of a lease, or the next tick, brings it back
	}
	h, moved := p.grantLocked(e, w)
	if !moved {
		p.mu.Unlock()
		return true // somebody who owns it was faster
	}
	waited := h.w != nil
	if waited && room > w.Leases()+1 || !waited && !idle {
		p.insertLocked(e)
	}
	p.mu.Unlock()
	h.send()
	if !waited && idle {
		p.handBack(e, w)
	}
	return waited
}

// firstDials is how many connections are dialled at the same time before it is known how many leases one takes: a second one, in case that the first is
// slow.
const firstDials = 2

// sharedNeedLocked is how many connections those who wait need. While a pump is looking at one it is not known what that takes, and the pump comes back.
func (p *Pool[T]) sharedNeedLocked() int {
	switch {
	case p.lending > 0:
		return 0
	case p.fresh == 0:
		return min(p.queue.n, firstDials)
	default:
		return (p.queue.n + p.fresh - 1) / p.fresh
	}
}

// reviveLocked looks again at connections that were full: Shares may have grown without a return.
func (p *Pool[T]) reviveLocked() {
	for _, e := range p.all {
		if e.cell.Load().State() == conn.InUse {
			p.listLocked(e, e.doomed)
		}
	}
}

// tryShared is TryAcquire where connections are shared. It joins the line only when it is empty, and leaves it at once.
func (p *Pool[T]) tryShared() (Lease[T], bool) {
	p.mu.Lock()
	if p.phase != open || p.queue.n > 0 {
		p.mu.Unlock()
		return Lease[T]{}, false
	}
	w := p.spares.take()
	w.ctx, w.since, w.until = p.life, p.exact(), never
	p.joinLocked(w, false)
	p.mu.Unlock()
	p.pump()
	p.mu.Lock()
	if w.queued {
		p.leaveLocked(w)
		w.ctx = nil
		p.spares.put(w)
		p.mu.Unlock()
		return Lease[T]{}, false
	}
	p.mu.Unlock()
	g := <-w.ch
	if g.err != nil {
		return Lease[T]{}, false
	}
	p.retire(w, g.e)
	l := p.begin(g.e, g.seq, p.now())
	return p.lent(context.Background(), l, 0), true
}
