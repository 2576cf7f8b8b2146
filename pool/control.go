package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"herz.example/herz/conn"
)

// IdentityError is the reason of an invalidation after which a connection leads to another server, or to one in another role.
type IdentityError struct {
	Pool, Peer    string
	Before, After string
}

// Error says what changed into what.
func (e *IdentityError) Error() string {
	return fmt.Sprintf("herz/pool: %q: the server at %s was %q and is %q now", e.Pool, e.Peer, e.Before, e.After)
}

// Cause is conn.Identity.
func (e *IdentityError) Cause() conn.Cause { return conn.Identity }

// SetLimits puts new limits in force, all at once. Zero fields take their defaults. What they mean for connections and callers
// that are there: see each field. A lower MaxOpen closes idle connections at once and lent ones when they are returned. An
// error changes nothing.
func (p *Pool[T]) SetLimits(l Limits) error {
	l, err := l.withDefaults()
	if err != nil {
		return err
	}
	p.mu.Lock()
	if p.phase != open {
		p.mu.Unlock()
		return ErrClosed
	}
	old := p.rules.Load()
	r := p.rulesOf(l, old.generation, old.outdated)
	p.rules.Store(r)
	for _, e := range p.all {
		if e.cell.Load().State() != conn.Dialing {
			e.settle(r)
		}
	}
	if p.traced == 0 {
		p.tracing.Store(l.LeakAfter > 0)
	}
	cut := p.shrinkLocked()
	p.easeLocked()
	p.nextPass = 0
	p.growLocked()
	p.mu.Unlock()
	p.buryAll(cut, conn.Shrunk, nil)
	p.wake()
	p.emit(Event{Kind: LimitsChanged, Limits: &LimitsChange{Before: old.Limits, After: l}})
	return nil
}

// shrinkLocked takes out the idle connections that are too many, oldest first, and shuts the short way back while there are still
// too many.
func (p *Pool[T]) shrinkLocked() []*entry[T] {
	p.sweepSlotsLocked()
	over := p.places - p.rules.Load().MaxOpen
	cut := p.takeOldestLocked(over)
	if over > 0 && !p.excess {
		p.excess = true
		p.gate.Add(shut)
	}
	return cut
}

// takeOldestLocked takes up to n idle connections out of the store, those first that were used longest ago.
func (p *Pool[T]) takeOldestLocked(n int) []*entry[T] {
	var list []*entry[T]
	for e := p.idle.tail; e != nil && len(list) < n; {
		at := e
		e = e.prev
		if at.cell.Load().State() == conn.Idle {
			p.idle.remove(at)
			list = append(list, at)
		}
	}
	return list
}

// easeLocked opens the short way again once there are no more places taken than there may be.
func (p *Pool[T]) easeLocked() {
	if p.excess && p.places <= p.rules.Load().MaxOpen {
		p.excess = false
		p.gate.Add(-shut)
	}
}

// Invalidate raises the generation: every connection that is open or being dialled now is stale. Idle ones are closed at once,
// lent ones when they are returned. Cause says why, for the record; one with a method Cause() conn.Cause, such as [*IdentityError], says as
// what its connections are counted. Others are counted as conn.Generation.
func (p *Pool[T]) Invalidate(cause error) {
	why := conn.Generation
	if known := interface{ Cause() conn.Cause }(nil); errors.As(cause, &known) {
		why = known.Cause()
	}
	p.invalidate(why, cause, anyGeneration)
}

// anyGeneration is for an invalidation that no connection asked for.
const anyGeneration = 0

// invalidate raises the generation. Of those that want it because of what they found on a connection, the first of its generation does: what the
// others found is true of connections that are stale already.
func (p *Pool[T]) invalidate(why conn.Cause, cause error, found uint64) {
	p.mu.Lock()
	r := *p.rules.Load()
	if p.phase == closed || found != anyGeneration && found != r.generation {
		p.mu.Unlock()
		return
	}
	r.generation++
	r.outdated = why
	p.rules.Store(&r)
	idle := p.takeAllIdleLocked()
	p.oweLocked(why, len(idle))
	p.mu.Unlock()
	p.emit(Event{Kind: PoolCleared, Generation: r.generation, Cause: why, Err: cause})
	p.buryAll(idle, why, cause)
	p.pump()
}

// IdleLongest is how long the connection has rested that was used longest ago, of those that [Pool.TrimIdle] would close; 0 when it would close none. It
// is for somebody who keeps several pools within one number of idle connections.
func (p *Pool[T]) IdleLongest() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweepSlotsLocked()
	e := p.idle.tail
	for e != nil && e.cell.Load().State() != conn.Idle {
		e = e.prev
	}
	if e == nil || p.idle.n <= p.rules.Load().MinIdle {
		return 0
	}
	return max(1, time.Duration(p.exact()-e.stamp.Load()))
}

// TrimIdle closes up to n idle connections, those first that were used longest ago, but leaves MinIdle. It returns how many it closed.
func (p *Pool[T]) TrimIdle(n int) int {
	p.mu.Lock()
	p.sweepSlotsLocked()
	cut := p.takeOldestLocked(min(n, p.idle.n-p.rules.Load().MinIdle))
	p.mu.Unlock()
	p.buryAll(cut, conn.Shrunk, nil)
	return len(cut)
}

// takeAllIdleLocked takes every idle connection out of the store, oldest last.
func (p *Pool[T]) takeAllIdleLocked() []*entry[T] {
	p.sweepSlotsLocked()
	var list []*entry[T]
	for e := p.idle.head; e != nil; {
		next := e.next
		if e.cell.Load().State() == conn.Idle {
			p.idle.remove(e)
			list = append(list, e)
		}
		e = next
	}
	return list
}

func (p *Pool[T]) buryAll(list []*entry[T], cause conn.Cause, err error) {
	for _, e := range list {
		p.bury(e, e.cell.Load(), cause, err)
	}
}

// EvictStale checks every connection that is idle now, and closes those that are dead, too old, or do not answer a ping. It takes
// out at most a tenth of them at once, so that users are not held up. It returns how many were closed; on the
// context's end also its error.
func (p *Pool[T]) EvictStale(ctx context.Context) (int, error) {
	p.mu.Lock()
	p.sweepSlotsLocked()
	var list []*entry[T]
	for e := p.idle.tail; e != nil; e = e.prev {
		list = append(list, e)
	}
	batch := max(1, len(p.all)/10)
	p.mu.Unlock()
	closed := 0
	for len(list) > 0 {
		n := min(batch, len(list))
		gone, err := p.evict(ctx, list[:n])
		closed += gone
		if err != nil {
			return closed, fmt.Errorf("herz/pool: evict stale connections of %q: %d left unchecked: %w", p.cfg.Name, len(list)-n, err)
		}
		list = list[n:]
	}
	return closed, nil
}

// evict checks some connections at the same time and waits for the answers.
func (p *Pool[T]) evict(ctx context.Context, list []*entry[T]) (closed int, err error) {
	var checked []*entry[T]
	var checks []*check
	for _, e := range list {
		p.mu.Lock()
		mine := e.cell.Load().State() == conn.Idle && p.unlinkLocked(e)
		p.mu.Unlock()
		if !mine {
			continue
		}
		w := e.cell.Load()
		switch v, cause := p.examine(e, p.rules.Load(), p.exact()); {
		case v == unfit:
			p.bury(e, w, cause, nil)
			closed++
		case p.cfg.Ping == nil && p.cfg.Identity == nil:
			p.handBack(e, w)
		default:
			if c := p.beginCheck(e, w, pinging); c != nil {
				checked, checks = append(checked, e), append(checks, c)
			}
		}
	}
	for i, c := range checks {
		select {
		case <-c.over:
		case <-c.given:
			closed++
			continue
		case <-ctx.Done():
			return closed, ctx.Err()
		}
		if s := checked[i].cell.Load().State(); s == conn.Stale || s == conn.Closing || s == conn.Closed {
			closed++
		}
	}
	return closed, nil
}

// WarmUp dials until max(MinIdle, KeepWarm) connections are open, MaxDialing at a time, and waits for them. Errors: the context's
// end, [ErrClosed], or a [*DialError] when a dial failed.
func (p *Pool[T]) WarmUp(ctx context.Context) error {
	for {
		p.mu.Lock()
		r := p.rules.Load()
		target := max(r.MinIdle, r.KeepWarm)
		before := p.books.dialErrors
		if p.phase != open {
			p.mu.Unlock()
			return ErrClosed
		}
		if p.places-p.dialing >= target {
			p.warm = 0
			p.mu.Unlock()
			return nil
		}
		p.warm = target
		p.growLocked()
		changed := p.changeLocked()
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			p.setWarm(0)
			return fmt.Errorf("herz/pool: warm up %q: %w", p.cfg.Name, ctx.Err())
		}
		p.mu.Lock()
		failed, err := p.books.dialErrors > before, p.books.lastDialErr
		p.mu.Unlock()
		if failed {
			p.setWarm(0)
			if err == nil {
				err = errors.New("a dial failed")
			}
			return &DialError{Pool: p.cfg.Name, Err: err}
		}
	}
}

func (p *Pool[T]) setWarm(n int) {
	p.mu.Lock()
	p.warm = n
	p.mu.Unlock()
}
