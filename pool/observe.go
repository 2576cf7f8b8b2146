package pool

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// acquireObserved is Acquire with its events and calls. Where nobody has to be told that somebody begins to wait, the short way is open here too.
func (p *Pool[T]) acquireObserved(ctx context.Context) (Lease[T], error) {
	if !p.told && p.swift && p.gate.Load() == 0 && ctx.Err() == nil {
		if l, ok := p.grab(); ok {
			return p.lent(ctx, l, 0), nil
		}
	}
	began := p.exact()
	if p.told {
		p.emit(Event{Kind: CheckOutStarted})
	}
	l, err := p.acquireSlow(ctx)
	waited := p.exact() - began
	if err != nil {
		p.refused(ctx, waited, err)
		return l, err
	}
	return p.lent(ctx, l, waited), nil
}

// refused tells of a caller who got nothing.
func (p *Pool[T]) refused(ctx context.Context, waited int64, err error) {
	if p.told {
		p.emit(Event{Kind: CheckOutFailed, Duration: time.Duration(waited), Err: err})
	}
	if p.calls != nil {
		p.calls.Refused(ctx, time.Duration(waited), err)
	}
}

// lent tells of the loan l, and gives it what the observer wants to remember.
func (p *Pool[T]) lent(ctx context.Context, l Lease[T], waited int64) Lease[T] {
	e := l.e
	if p.told {
		p.emit(Event{Kind: CheckedOut, Conn: e.id, Generation: e.gen, Duration: time.Duration(waited), Reused: l.seq > 1})
	}
	if p.calls == nil {
		return l
	}
	if !p.shared { // there each ticket has its own
		e.lentAt.Store(p.exact())
	}
	memo := p.calls.Lent(ctx, Loan{Conn: e.id, Generation: e.gen, Waited: time.Duration(waited), Reused: l.seq > 1})
	if memo != nil {
		if l.h == nil {
			l.h = &handle{}
		}
		l.h.memo = memo
	}
	return l
}

// emitReturned reports the end of a loan before the connection can be lent again or closed, so that the events come in order. why is nil where the
// connection is returned.
func (p *Pool[T]) emitReturned(l Lease[T], why error) {
	e := l.e
	if p.told {
		held := max(p.now()-e.stamp.Load(), 0)
		p.emit(Event{Kind: CheckedIn, Conn: e.id, Generation: e.gen, Duration: time.Duration(held)})
	}
	if p.calls != nil {
		p.calls.Returned(Loan{Conn: e.id, Generation: e.gen, Held: p.heldFor(l), Reused: l.seq > 1, Err: why}, l.h.remembered())
	}
}

// sinceLocked is the time for a ticket: exact where an observer is called, which is told how long the lease lasted.
func (p *Pool[T]) sinceLocked() int64 {
	if p.calls == nil {
		return 0
	}
	return p.exact()
}

// heldFor is how long the loan l has lasted, by the exact clock.
func (p *Pool[T]) heldFor(l Lease[T]) time.Duration {
	at := l.e.lentAt.Load()
	if p.shared {
		p.mu.Lock()
		at = l.e.tickets[l.seq]
		p.mu.Unlock()
	}
	return time.Duration(max(p.exact()-at, 0))
}

// here is the caller's stack, without the skipped frames.
func here(skip int) string {
	var pcs [stackDepth]uintptr
	n := runtime.Callers(skip+1, pcs[:])
	return frameText(pcs[:n])
}

var (
	errTurnedAway = errors.New("turned away")
	errWaitedLong = errors.New("waited for Limits.AcquireTimeout")
	errLost       = errors.New("its lease was lost: nobody can return it any more")
)
