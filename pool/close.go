package pool

import (
	"context"
	"io"
	"net"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// deathsKept is the number of newest deaths that a pool remembers.
const deathsKept = 128

// bury ends the life of e, whose word is w and which the caller owns: from here on it is Stale and can only be closed. False: its word was
// no longer w, and nothing was done.
func (p *Pool[T]) bury(e *entry[T], w conn.Word, cause conn.Cause, err error) bool {
	if _, ok := e.cell.Move(w, conn.Stale, 0); !ok {
		return false
	}
	if s := e.at.Load(); s != nil {
		s.e.CompareAndSwap(e, nil)
	}
	death := p.deathOf(e, w, cause, err)
	died := never
	if w.State() == conn.InUse {
		died = e.diedAt()
	}
	p.mu.Lock()
	p.leftLocked(e, w)
	e.near = nil
	p.recordLocked(death)
	if died < e.lentLocked() {
		p.books.deadLent++
	}
	if w.State() != conn.Idle { // for idle ones it was noted when they were taken out of the store
		p.oweLocked(cause, 1)
	}
	e.closing = death.Cause
	start := p.closers < p.rules.Load().MaxClosing
	if start {
		p.closers++
		p.closingLocked(e)
	} else {
		p.toClose = append(p.toClose, e)
	}
	p.mu.Unlock()
	p.emit(Event{
		Kind: ConnectionClosed, Conn: e.id, Generation: e.gen, Cause: death.Cause, Err: err, Duration: death.Age, Death: &death, Uses: w.Seq(),
	})
	if start {
		go p.closer(e)
	}
	return true
}

// closingLocked begins the close of e: its place is free from now on.
func (p *Pool[T]) closingLocked(e *entry[T]) {
	if _, ok := e.cell.Move(e.cell.Load(), conn.Closing, 0); !ok {
		panic("herz/pool: a stale connection had two owners") //nolint:forbidigo // a broken invariant must not go on to close twice
	}
	p.places--
	p.easeLocked()
	p.growLocked()
}

// recordLocked counts a death and keeps it among the newest.
func (p *Pool[T]) recordLocked(d conn.Death) {
	b := &p.books
	b.closed[d.Cause]++
	b.deaths[b.deathsTotal%deathsKept] = d
	b.deathsTotal++
}

// deathOf writes the record of e's end. What the guard saw goes before what the pool thinks.
func (p *Pool[T]) deathOf(e *entry[T], w conn.Word, cause conn.Cause, err error) conn.Death {
	now := p.exact()
	d := conn.Death{Cause: cause, Peer: e.peer, Age: time.Duration(now - e.born), Phase: "idle"}
	if w.State() == conn.InUse {
		d.Phase = "processing"
	} else {
		d.Idle = time.Duration(max(now-e.stamp.Load(), 0))
	}
	if err != nil {
		d.Detail = err.Error()
	}
	if e.guard != nil {
		if seen, ok := e.guard.Death(); ok && !seen.Cause.Ours() {
			if seen.Detail == "" {
				seen.Detail = d.Detail
			}
			d = seen
		} else {
			e.guard.Retire(cause)
		}
	}
	d.ID, d.Pool = e.id, p.cfg.Name
	return d
}

// diedAt is when the connection ended, by the pool's clock, as its guard says; never where it has not, or by our own decision. The socket is younger than
// e.born by as much as the dial took. The pool's clock is read last, so that the end is rather told late than early.
func (e *entry[T]) diedAt() int64 {
	if e.guard == nil {
		return never
	}
	d, dead := e.guard.Death()
	if !dead || d.Cause.Ours() {
		return never
	}
	age := e.guard.Info().Age
	return e.pool.exact() - int64(age-d.Age)
}

// lentLocked is when e, which is lent or has just been returned, was lent for the last time, up to a tick early: so no connection that ended in its user's
// hands counts as one that was lent dead, which the promise of this package is that none is.
func (e *entry[T]) lentLocked() int64 {
	if e.pool.shared {
		return e.newest
	}
	return e.stamp.Load()
}

// closer closes e, and then those that wait to be closed.
func (p *Pool[T]) closer(e *entry[T]) {
	for e != nil {
		e = p.closeOne(e)
	}
}

// closeOne closes e within HeartbeatTimeout and gives the next one to close. When the close hangs, the socket is aborted, e
// counts as closed, and another goroutine goes on with the rest.
func (p *Pool[T]) closeOne(e *entry[T]) *entry[T] {
	bound := p.rules.Load().HeartbeatTimeout
	hung := time.AfterFunc(bound, func() {
		if e.guard != nil {
			e.guard.Abort(e.closing)
		}
		if next, won := p.gone(e); won && next != nil {
			go p.closer(next)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	p.mu.Lock()
	c := e.check
	p.mu.Unlock()
	if c != nil {
		c.stop(e.guard) // it was cut: its ping must not run beside the close
	}
	p.closeValue(ctx, e.value, e.guard, e.closing.Ours())
	hung.Stop()
	next, _ := p.gone(e)
	return next
}

// gone takes e, whose close has ended, out of the pool, once. It gives the next connection that waits to be closed.
func (p *Pool[T]) gone(e *entry[T]) (next *entry[T], won bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := e.cell.Load()
	if w.State() != conn.Closing {
		return nil, false
	}
	if _, ok := e.cell.Move(w, conn.Closed, 0); !ok {
		return nil, false
	}
	p.forgetLocked(e)
	p.closers--
	if len(p.toClose) > 0 && p.closers < p.rules.Load().MaxClosing {
		next = p.toClose[0]
		p.toClose = p.toClose[1:]
		p.closers++
		p.closingLocked(next)
	}
	p.noteLocked()
	return next, true
}

// forgetLocked takes e out of the list of all connections.
func (p *Pool[T]) forgetLocked(e *entry[T]) {
	last := len(p.all) - 1
	p.all[e.index] = p.all[last]
	p.all[e.index].index = e.index
	p.all[last] = nil
	p.all = p.all[:last]
	p.books.leases += e.cell.Load().Seq()
	p.unidentifiedLocked(e)
}

// closeValue closes one connection by Config.Close or T's own method. A planned close of a plain socket is graceful: the peer sees
// FIN and not RST, even when bytes were left unread. Whatever the close did, the guarded socket is gone afterwards.
func (p *Pool[T]) closeValue(ctx context.Context, v T, g *guard.Conn, planned bool) {
	if p.cfg.Close != nil {
		_ = p.cfg.Close(ctx, v)
	} else {
		closeOwn(ctx, v, g, planned)
	}
	if g != nil {
		g.OnDeath(nil)
		g.Abort(conn.Drained)
	}
}

func closeOwn(ctx context.Context, v any, g *guard.Conn, planned bool) {
	switch c := v.(type) {
	case net.Conn:
		if g != nil && planned {
			_ = g.Shutdown(ctx)
		}
		_ = c.Close()
	case io.Closer:
		_ = c.Close()
	case interface {
		Close(ctx context.Context) error
	}:
		_ = c.Close(ctx)
	}
}
