package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"herz.example/herz/conn"
)

// Lease is the loan of one connection. It is a small value and may be copied; all copies are the same loan. It ends
// with the first Release or Discard of any of them. What is done with it afterwards is detected, counted in Stats.Misuses, told to
// the observer, and harmless: it never touches the connection, which may have another user by then.
//
// The zero Lease is the loan of nothing: Value gives the zero T, Release and Discard do nothing, and Err says so.
type Lease[T any] struct {
	e   *entry[T]
	seq uint64
	h   *handle // nil when this lease was not sampled
}

var errZeroLease = fmt.Errorf("%w: this is the zero Lease, which Acquire never returns without an error", ErrMisuse)

// Err is nil while the loan lasts. After its end, and for the zero Lease, it is an error that is [ErrMisuse] and says which it is.
func (l Lease[T]) Err() error {
	if l.e == nil {
		return errZeroLease
	}
	if !l.held() {
		return fmt.Errorf("%w: lease %d of connection #%d of pool %q has ended", ErrMisuse, l.seq, l.e.id, l.e.pool.cfg.Name)
	}
	return nil
}

func (l Lease[T]) held() bool {
	if l.e.pool.shared {
		return l.e.pool.heldShared(l)
	}
	w := l.e.cell.Load()
	return returns(w, l.seq)
}

// Value is the connection. It must not be used after the loan's end; Value itself then gives the zero T and reports the
// misuse.
func (l Lease[T]) Value() T {
	if l.e == nil {
		var zero T
		return zero
	}
	if !l.held() {
		l.e.pool.misused(l, "used")
		var zero T
		return zero
	}
	return l.e.value
}

// Info tells about the connection. After the loan's end it tells of the connection as it is then, and nothing for the zero Lease.
func (l Lease[T]) Info() LeaseInfo {
	e := l.e
	if e == nil {
		return LeaseInfo{}
	}
	uses := l.seq
	return LeaseInfo{
		Conn: e.id, Generation: e.gen, Uses: uses, Age: time.Duration(e.pool.exact() - e.born), Reused: uses > 1,
	}
}

// Release returns the connection. It may be lent again when it is still fit.
func (l Lease[T]) Release() {
	e := l.e
	if e == nil {
		return
	}
	p := e.pool
	if !p.plain && p.releaseFull(l) {
		return
	}
	w := e.cell.Load()
	if !returns(w, l.seq) {
		p.misused(l, "returned")
		return
	}
	now, goes := p.reading()
	if !goes {
		now = p.firstNow()
	}
	var s *slot[T]
	if p.gate.Load() == 0 && e.keeps(p.rules.Load(), w) {
		if s = e.lastBerth(); s == nil {
			s = p.berth(e)
		}
	}
	if s == nil {
		p.giveBack(l, w, now)
		return
	}
	e.touch(now)
	if !e.cell.Offer(w) {
		p.misused(l, "returned")
		return
	}
	l.h.returned()
	if p.overtaken(e, s) {
		p.takeBack(e)
	}
}

// giveBack is the way back through the lock. One that has died keeps the time of its loan, by which it is told whether it was lent dead.
func (p *Pool[T]) giveBack(l Lease[T], w conn.Word, now int64) {
	l.h.returned()
	if !l.e.dead() {
		l.e.touch(now)
	}
	if !p.handBack(l.e, w) {
		p.misused(l, "returned")
	}
}

// overtaken reports whether something changed before the offer of e in s was visible, so that it is taken back: somebody joined the line or closed the
// pool, the connection died, or another one took the slot. Each of these makes itself visible before it looks for offers; so one of the two
// sides sees the other.
func (p *Pool[T]) overtaken(e *entry[T], s *slot[T]) bool {
	return p.gate.Load() != 0 || e.dead() || s.e.Load() != e
}

// Discard ends the loan and closes the connection. Cause says why, for the record; nil is allowed. One with a method Cause() conn.Cause says as what
// the end is counted; others are counted as conn.Timeout where they are one, and as conn.Error.
func (l Lease[T]) Discard(cause error) {
	e := l.e
	if e == nil {
		return
	}
	p := e.pool
	if cause == nil {
		cause = errors.New("its user discarded it")
	}
	if p.shared {
		if !p.releaseShared(l, cause) {
			p.misused(l, "discarded")
		}
		return
	}
	w := e.cell.Load()
	if !returns(w, l.seq) {
		p.misused(l, "discarded")
		return
	}
	p.emitReturned(l, cause)
	l.h.returned()
	if !p.bury(e, w, causeOf(cause), cause) {
		p.misused(l, "discarded")
	}
}

// causeOf tells as what a discarded connection is counted: as its error says that has a method Cause() conn.Cause; else a user's time-out, after which
// answers would be out of step, is told from other errors.
func causeOf(err error) conn.Cause {
	var known interface{ Cause() conn.Cause }
	if errors.As(err, &known) {
		return known.Cause()
	}
	var timed interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &timed) && timed.Timeout() {
		return conn.Timeout
	}
	return conn.Error
}

// releaseFull is Release where an observer wants to know, or there is a reset, or several leases a connection. False: the observer knows, and the short
// way is open.
func (p *Pool[T]) releaseFull(l Lease[T]) bool {
	if p.shared {
		if !p.releaseShared(l, nil) {
			p.misused(l, "returned")
		}
		return true
	}
	e := l.e
	w := e.cell.Load()
	if !returns(w, l.seq) {
		p.misused(l, "returned")
		return true
	}
	p.emitReturned(l, nil)
	if p.swift {
		return false
	}
	now := p.now()
	if p.cfg.Reset == nil || !e.keeps(p.rules.Load(), w) {
		p.giveBack(l, w, now)
		return true
	}
	e.touch(now)
	l.h.returned()
	if !p.startCheck(e, w, resetting) {
		p.misused(l, "returned")
	}
	return true
}

// misused counts and reports a lease that was used or returned after its end.
func (p *Pool[T]) misused(l Lease[T], how string) {
	p.misuses.Add(1)
	if p.cfg.Observer == nil {
		return
	}
	err := fmt.Errorf("%w: lease %d of connection #%d was %s again", ErrMisuse, l.seq, l.e.id, how)
	p.emit(Event{Kind: Misused, Conn: l.e.id, Generation: l.e.gen, Cause: conn.Misuse, Err: err, Stack: here(3)})
}
