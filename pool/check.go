package pool

import (
	"context"
	"errors"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// checkKind is what a check does.
type checkKind uint8

const (
	pinging   checkKind = iota // before a loan, or as a heartbeat
	resetting                  // after a loan
)

// checkPatience is how long a check may keep a connection from somebody who waits. It is a little less than the quarter of a second
// that is promised, because the clock that watches it ticks every ten milliseconds.
const checkPatience = int64(235 * time.Millisecond)

var (
	errCut    = errors.New("the ping was cut short because somebody waited for the connection")
	errNoPong = errors.New("the peer did not answer a ping in time")

	errCheckHangs = errors.New("the ping or reset function did not return when its context ended")
)

// check is one ping or reset under way. Its fields but done and cancel are guarded by Pool.mu.
type check struct {
	kind   checkKind
	began  int64
	cancel context.CancelFunc
	done   chan struct{} // closed when the user's function has returned
	over   chan struct{} // closed when the connection is back in the pool or buried
	cut    bool          // it was given up and is counted no longer
	given  chan struct{} // closed when it was cut: over may be late then, or never come
}

// longestCheck is how long a check may last when nobody waits: one whose function heeds neither its context nor its socket is given up then.
func (r *rules) longestCheck() int64 { return int64(r.HeartbeatTimeout + dialGrace) }

// stop makes the check end and waits for that, for a moment: a function that heeds neither its context nor its socket is left behind.
func (c *check) stop(g *guard.Conn) {
	c.cancel()
	if g != nil {
		g.Abort(conn.Heartbeat)
	}
	t := time.NewTimer(dialGrace)
	defer t.Stop()
	select {
	case <-c.done:
	case <-t.C:
	}
}

// startCheck takes e, whose word is w and which the caller owns, out for a check on a goroutine of its own. False: its word was no
// longer w.
func (p *Pool[T]) startCheck(e *entry[T], w conn.Word, kind checkKind) bool {
	return p.beginCheck(e, w, kind) != nil
}

func (p *Pool[T]) beginCheck(e *entry[T], w conn.Word, kind checkKind) *check {
	ctx, cancel := context.WithTimeout(p.life, p.rules.Load().HeartbeatTimeout)
	c := &check{
		kind: kind, began: p.exact(), cancel: cancel, done: make(chan struct{}), over: make(chan struct{}), given: make(chan struct{}),
	}
	p.mu.Lock()
	next, ok := e.cell.Move(w, conn.Checking, 0)
	if !ok {
		p.mu.Unlock()
		cancel()
		return nil
	}
	e.check, e.asked = c, false
	p.settledLocked(e)
	p.checking++
	p.wakeLocked(p.dueOf(e, p.rules.Load()))
	p.mu.Unlock()
	if p.clock.Load() == 0 {
		p.wake()
	}
	go p.runCheck(ctx, e, next, c)
	return c
}

// runCheck asks the peer and then hands e back, or buries it.
func (p *Pool[T]) runCheck(ctx context.Context, e *entry[T], w conn.Word, c *check) {
	defer close(c.over)
	if e.guard != nil {
		e.guard.Begin()
	}
	who, err := p.question(ctx, e, c)
	p.mu.Lock()
	p.doubt = err != nil
	p.mu.Unlock()
	if c.kind == pinging {
		p.beat(e, p.exact()-c.began, err)
	}
	p.conclude(e, w, c, who, err)
}

// question puts the question of a check to the peer. The socket ends with the context, so that functions end that look at their socket only.
func (p *Pool[T]) question(ctx context.Context, e *entry[T], c *check) (who string, err error) {
	stopAbort := func() bool { return true }
	if g := e.guard; g != nil {
		stopAbort = context.AfterFunc(ctx, func() { g.Abort(conn.Heartbeat) })
	}
	who, err = p.ask(ctx, e, c.kind)
	if !stopAbort() && err == nil {
		err = errNoPong
	}
	close(c.done)
	c.cancel()
	return who, err
}

// conclude does what follows from the answer to a check: it hands back e, whose word was w when it began, or buries it.
func (p *Pool[T]) conclude(e *entry[T], w conn.Word, c *check, who string, err error) {
	if err != nil {
		cause := conn.Heartbeat
		if c.kind == resetting {
			cause = conn.Error
		}
		if p.life.Err() != nil {
			cause = conn.Drained
		}
		p.bury(e, w, cause, err)
		p.pump()
		return
	}
	e.proven.Store(p.exact())
	e.pledge.Store(w.Seq())
	if c.kind == pinging && p.cfg.Identity != nil && !p.identified(e, who) {
		p.bury(e, w, conn.Identity, nil)
		p.pump()
		return
	}
	p.handBack(e, w)
}

// ask runs the user's function, and asks for the identity after a ping.
func (p *Pool[T]) ask(ctx context.Context, e *entry[T], kind checkKind) (who string, err error) {
	if kind == resetting {
		return "", p.cfg.Reset(ctx, e.value)
	}
	if p.cfg.Ping != nil {
		err = p.cfg.Ping(ctx, e.value)
	} else if e.guard != nil {
		err = e.guard.Alive()
	}
	if err == nil && p.cfg.Identity != nil {
		who, err = p.cfg.Identity(ctx, e.value)
	}
	return who, err
}

// beat counts and reports a ping.
func (p *Pool[T]) beat(e *entry[T], took int64, err error) {
	p.beats.Add(1)
	if err != nil {
		p.missed.Add(1)
	} else {
		e.rtt.Store(took)
	}
	p.emit(Event{Kind: Heartbeat, Conn: e.id, Generation: e.gen, Duration: time.Duration(took), Err: err})
}

// checkedLocked counts the end of e's check, in the same moment in which e becomes something else: were there a gap, a waiter would
// see neither a check nor a connection and dial. A check that was cut was counted then, and is kept for the close to stop it.
func (p *Pool[T]) checkedLocked(e *entry[T]) {
	if e.check == nil || e.check.cut {
		return
	}
	e.check = nil
	p.checking--
	p.noteLocked()
}

// cutLocked gives up the check of e, if it has lasted for longer than patience. The caller buries e if this returns true.
func (p *Pool[T]) cutLocked(e *entry[T], now, patience int64) bool {
	c := e.check
	if c == nil || c.cut || now-c.began < patience || e.cell.Load().State() != conn.Checking {
		return false
	}
	c.cut = true
	close(c.given)
	p.checking--
	p.doubt = true
	return true
}
