package pool

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// acquireObserved is Acquire with its events.
func (p *Pool[T]) acquireObserved(ctx context.Context) (Lease[T], error) {
	began := time.Now()
	p.emit(Event{Kind: CheckOutStarted})
	l, err := p.acquireSlow(ctx)
	if err != nil {
		p.emit(Event{Kind: CheckOutFailed, Duration: time.Since(began), Err: err})
		return l, err
	}
	p.emitLent(l, time.Since(began))
	return l, nil
}

func (p *Pool[T]) emitLent(l Lease[T], waited time.Duration) {
	if !p.told {
		return
	}
	p.emit(Event{Kind: CheckedOut, Conn: l.e.id, Generation: l.e.gen, Duration: waited, Reused: l.seq > 1})
}

// emitReturned reports the end of a loan before the connection can be lent again or closed, so that the events come in order.
func (p *Pool[T]) emitReturned(e *entry[T]) {
	if !p.told {
		return
	}
	held := max(p.now()-e.stamp.Load(), 0)
	p.emit(Event{Kind: CheckedIn, Conn: e.id, Generation: e.gen, Duration: time.Duration(held)})
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
