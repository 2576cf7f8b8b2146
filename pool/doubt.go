package pool

import (
	"context"

	"herz.example/herz/conn"
)

// Doubt ends the loan as Release does, but the connection takes no further one until its peer has given a sign of life: Config.Ping is called at
// once, on a goroutine of the pool. Where connections are shared it is called beside the leases that others have, which go on; without an answer within
// Limits.HeartbeatTimeout the connection is aborted, which ends them too. It is for a user whose request ran out of time without a sign of life
// meanwhile: the connection may be dead, and may as well lead to a server that is slow.
func (l Lease[T]) Doubt() {
	e := l.e
	if e == nil {
		return
	}
	p := e.pool
	if p.shared {
		if !p.doubtShared(l) {
			p.misused(l, "returned")
		}
		return
	}
	w := e.cell.Load()
	if !returns(w, l.seq) {
		p.misused(l, "returned")
		return
	}
	p.emitReturned(l, nil)
	e.touch(p.now())
	l.h.returned()
	p.distrust()
	if !p.startCheck(e, w, pinging) {
		p.misused(l, "returned")
		return
	}
	p.pump()
}

// distrust says that what is being checked now is not to be waited for.
func (p *Pool[T]) distrust() {
	p.mu.Lock()
	p.doubt = true
	p.mu.Unlock()
}

// doubtShared ends the loan l and has its connection asked. False: the loan had ended before.
func (p *Pool[T]) doubtShared(l Lease[T]) bool {
	e := l.e
	p.mu.Lock()
	_, held := e.tickets[l.seq]
	asks := held && e.doubted == nil && e.doomed == conn.None
	if asks {
		e.doubted = &check{kind: pinging, began: p.exact(), done: make(chan struct{}), over: make(chan struct{}), given: make(chan struct{})}
		var ctx context.Context
		ctx, e.doubted.cancel = context.WithTimeout(p.life, p.rules.Load().HeartbeatTimeout)
		if e.listed {
			p.idle.remove(e)
		}
		p.doubt = true
		go p.verify(ctx, e, e.doubted)
	}
	p.mu.Unlock()
	return p.releaseShared(l, nil)
}

// checkAloneLocked makes the question that e is asked already a check like others, with the connection to itself: its last lease, whose word was w, has
// ended.
func (p *Pool[T]) checkAloneLocked(e *entry[T], w conn.Word) {
	e.cell.Move(w, conn.Checking, 0)
	e.check = e.doubted
	p.checking++
	p.wakeLocked(p.dueOf(e, p.rules.Load()))
}

// verify asks the peer of a shared connection for a sign of life, whether or not others use it meanwhile. When the last of them has left, the
// connection is in the state Checking, and what follows is what follows after any check.
func (p *Pool[T]) verify(ctx context.Context, e *entry[T], c *check) {
	defer close(c.over)
	who, err := p.question(ctx, e, c)
	p.beat(e, p.exact()-c.began, err)
	p.mu.Lock()
	e.doubted = nil
	p.doubt = err != nil
	w := e.cell.Load()
	if w.State() == conn.Checking && e.check == c {
		p.mu.Unlock()
		p.conclude(e, w, c, who, err)
		return
	}
	used := w.State() == conn.InUse
	if (used || e.lending) && err != nil && e.doomed == conn.None {
		e.doomed = conn.Heartbeat // a pump that is looking at it buries it
	}
	if used {
		p.listLocked(e, e.doomed)
	}
	p.mu.Unlock()
	if g := e.guard; used && err != nil && g != nil {
		g.Abort(conn.Heartbeat) // its other users wait for nothing
	}
	p.pump()
}
