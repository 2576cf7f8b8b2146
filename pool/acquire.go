package pool

import (
	"context"
	"errors"

	"herz.example/herz/conn"
)

// verdict is what an examination of an idle connection says.
type verdict uint8

const (
	fit     verdict = iota // lend it
	unfit                  // close it
	suspect                // ping it first
)

// examine decides whether e, which the caller owns, may be lent. When it may not, the cause is given; where the guard knows a
// better one, the burial takes that.
func (p *Pool[T]) examine(e *entry[T], r *rules, now int64) (verdict, conn.Cause) {
	g := e.guard
	if g != nil {
		if g.Dead() {
			return unfit, conn.Error
		}
		// Condemned by a user or an adapter: this is the moment at which that takes effect.
		if cause, yes := g.Condemned(); yes {
			return unfit, cause
		}
	}
	if e.gen != r.generation {
		return unfit, r.outdated
	}
	if now >= e.expires.Load() {
		return unfit, conn.MaxLifetime
	}
	quiet := e.quiet(now)
	if quiet < r.probeAfter {
		return fit, conn.None
	}
	if now-e.stamp.Load() >= r.idleMost {
		return unfit, conn.MaxIdle
	}
	if g != nil && g.Alive() != nil {
		return unfit, conn.Error
	}
	if quiet >= r.pingAfter && !(r.everyLoan && e.proved(now)) {
		return suspect, conn.None
	}
	return fit, conn.None
}

// Acquire borrows a connection: an idle one, or one that is dialled, or the one returned next. Callers are served in the order in
// which they came. It does not allocate unless it dials or fails.
//
// Errors: [ErrClosed]; an [*ExhaustedError] when the context ended, when Limits.AcquireTimeout ran out (used when the
// context has no deadline), or when Limits.MaxWaiters callers wait already; a [*DialError] when the dial that the caller waited for
// failed and no other connection is open.
func (p *Pool[T]) Acquire(ctx context.Context) (Lease[T], error) {
	if p.plain && p.gate.Load() == 0 && ctx.Err() == nil {
		if l, ok := p.grab(); ok {
			return l, nil
		}
	}
	if p.told || p.calls != nil {
		return p.acquireObserved(ctx)
	}
	return p.acquireSlow(ctx)
}

// TryAcquire borrows a connection if one is idle, fit, and wanted by nobody else. Otherwise it returns false at once, and sees to
// it that a later call finds one: it starts a ping of one that was silent for too long, or a dial where there is room.
func (p *Pool[T]) TryAcquire() (Lease[T], bool) {
	if p.shared {
		return p.tryShared()
	}
	for {
		p.mu.Lock()
		if p.phase != open || p.queue.n > 0 {
			p.mu.Unlock()
			return Lease[T]{}, false
		}
		e := p.takeIdleLocked()
		if e == nil {
			if p.dialing == 0 && p.places < p.rules.Load().MaxOpen {
				p.startDialLocked()
			}
			p.mu.Unlock()
			return Lease[T]{}, false
		}
		p.mu.Unlock()
		switch l, v := p.lend(e); v {
		case fit:
			return p.lent(context.Background(), l, 0), true
		case suspect:
			return Lease[T]{}, false // what lies behind it was silent for as long
		case unfit:
		}
	}
}

// lend gives e, which the caller took out of the store, to the caller, if it is fit. If not, e is seen to.
func (p *Pool[T]) lend(e *entry[T]) (Lease[T], verdict) {
	now := p.now()
	v, cause := p.examine(e, p.rules.Load(), now)
	switch v {
	case unfit:
		p.bury(e, e.cell.Load(), cause, nil)
		return Lease[T]{}, unfit
	case suspect:
		p.startCheck(e, e.cell.Load(), pinging)
		return Lease[T]{}, suspect
	case fit:
	}
	w, ok := e.cell.Move(e.cell.Load(), conn.InUse, 1)
	if !ok {
		panic("herz/pool: an idle connection had two owners") //nolint:forbidigo // a broken invariant must not go on to share a connection
	}
	return p.begin(e, w.Seq(), now), fit
}

// begin starts the lease seq of e for the caller.
func (p *Pool[T]) begin(e *entry[T], seq uint64, now int64) Lease[T] {
	e.touch(now)
	l := Lease[T]{e: e, seq: seq}
	if p.attends(e, seq) {
		l.h = p.attend(e, seq)
	}
	return l
}

// attends reports whether the guard is to know of the loan, or its holder is to be kept.
func (p *Pool[T]) attends(e *entry[T], seq uint64) bool {
	return e.guard != nil || seq&holderSample == 0 || p.tracing.Load()
}

// attend tells the guard of the loan, and keeps the holder of a sampled one.
func (p *Pool[T]) attend(e *entry[T], seq uint64) (h *handle) {
	if seq&holderSample == 0 || p.tracing.Load() {
		e.holder.record(seq, 2)
		if !p.shared {
			h = p.watch(e, seq)
		}
	}
	if e.guard != nil && !p.shared {
		e.guard.Begin()
	}
	return h
}

// holderSample is the mask of lease numbers whose holder's stack is kept and whose loss is proved: one of 1,024, because that costs as much
// as thirty leases. After an exhaustion, and while Limits.LeakAfter is set, it is done for every lease.
const holderSample = 1<<10 - 1

// acquireSlow is Acquire without the short way: it looks at the whole store, and then waits in line.
func (p *Pool[T]) acquireSlow(ctx context.Context) (Lease[T], error) {
	if err := ctx.Err(); err != nil {
		return Lease[T]{}, p.exhausted(err, 0, 0)
	}
	l, w, err := p.takeOrJoin(ctx)
	for w != nil {
		var g grant[T]
		if g, err = p.await(w); err != nil {
			break
		}
		if !g.e.dead() {
			p.retire(w, g.e)
			return p.begin(g.e, g.seq, p.now()), nil
		}
		// It died between the grant and now. The caller keeps its place in front of all others.
		p.undo(g)
		if err = p.rejoin(w); err != nil {
			break
		}
	}
	return l, err
}

// takeOrJoin borrows an idle connection when nobody waits for one; otherwise the caller joins the line, as w.
func (p *Pool[T]) takeOrJoin(ctx context.Context) (l Lease[T], w *waiter[T], err error) {
	if p.shared {
		if l, ok := p.takeShared(); ok {
			return l, nil, nil
		}
	}
	v, now := unfit, p.exact()
	for {
		p.mu.Lock()
		var e *entry[T]
		if p.phase == open && p.queue.n == 0 && !p.shared && v == unfit {
			e = p.takeIdleLocked()
		}
		if e == nil {
			w, err = p.joinAsLocked(ctx, now)
			pump := w != nil && p.supplyLocked()
			p.mu.Unlock()
			if errors.Is(err, errTurnedAway) {
				err = p.exhausted(nil, 0, p.waiting())
			}
			if pump {
				p.pump()
			}
			return Lease[T]{}, w, err
		}
		p.mu.Unlock()
		if l, v = p.lend(e); v == fit {
			return l, nil, nil
		}
	}
}

// joinAsLocked puts a waiter for the caller into the line unless the pool is closed or the line is full.
func (p *Pool[T]) joinAsLocked(ctx context.Context, now int64) (*waiter[T], error) {
	if p.phase != open {
		return nil, ErrClosed
	}
	r := p.rules.Load()
	if p.queue.n >= r.MaxWaiters {
		p.books.refused++
		return nil, errTurnedAway
	}
	p.books.waits++
	w := p.spares.take()
	w.ctx, w.since, w.until = ctx, now, never
	if _, has := ctx.Deadline(); !has && r.AcquireTimeout > 0 {
		w.until = now + int64(r.AcquireTimeout)
	}
	p.enterLocked(w, false)
	return w, nil
}

// rejoin puts w back into the line, in front of all others.
func (p *Pool[T]) rejoin(w *waiter[T]) error {
	p.mu.Lock()
	if p.phase != open {
		p.mu.Unlock()
		return ErrClosed
	}
	p.enterLocked(w, true)
	pump := p.supplyLocked()
	p.mu.Unlock()
	if pump {
		p.pump()
	}
	return nil
}

// enterLocked puts w into the line and sees to it that the clock goes.
func (p *Pool[T]) enterLocked(w *waiter[T], front bool) {
	p.joinLocked(w, front)
	if p.clock.Load() == 0 {
		p.wake()
	}
}

// await waits for w's grant. The wait is bounded by the caller's context or by w.until, which the maintenance goroutine watches.
func (p *Pool[T]) await(w *waiter[T]) (grant[T], error) {
	var g grant[T]
	if over := w.ctx.Done(); over == nil {
		g = <-w.ch
	} else {
		select {
		case g = <-w.ch:
		case <-over:
			g = p.abandon(w)
		}
	}
	waited := p.exact() - w.since
	p.countWait(waited)
	if g.err != nil {
		return g, p.waitFailed(w, g.err, waited)
	}
	return g, nil
}

// countWait puts a wait that has ended into the books.
func (p *Pool[T]) countWait(waited int64) {
	p.waitTime.Add(waited)
	i := 0
	for i < len(waitBounds) && waited > int64(waitBounds[i]) {
		i++
	}
	p.waited[i].Add(1)
}

// abandon takes w out of the line because its context ended. A grant that was on its way goes back to the pool.
func (p *Pool[T]) abandon(w *waiter[T]) grant[T] {
	err := w.ctx.Err()
	p.mu.Lock()
	if w.queued {
		p.leaveLocked(w)
		p.mu.Unlock()
		return grant[T]{err: err}
	}
	p.mu.Unlock()
	g := <-w.ch // sent already, or about to be: whoever took w out of the line sends at once
	if g.err == nil {
		p.undo(g)
		g = grant[T]{err: err}
	}
	return g
}

// undo returns a connection that was granted and never used.
func (p *Pool[T]) undo(g grant[T]) {
	if p.shared {
		p.endShared(Lease[T]{e: g.e, seq: g.seq}, nil)
		return
	}
	p.handBack(g.e, g.e.cell.Load())
}
