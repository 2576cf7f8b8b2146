package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// dialGrace is how long after its context's end a dial may still return before the pool gives it up.
const dialGrace = 100 * time.Millisecond

var errDialHangs = errors.New("the dial function did not return when its context ended")

// startDialLocked begins a dial for the pool. It carries the values of the oldest waiter's context, for tracing, but not its end:
// a caller who goes away does not waste the dial of those behind.
func (p *Pool[T]) startDialLocked() {
	now := p.exact()
	e := &entry[T]{core: core{gen: p.rules.Load().generation}, pool: p, id: ids.Add(1), born: now, jitter: rand.Float64(), index: len(p.all)}
	e.stamp.Store(now)
	e.expires.Store(never)
	p.all = append(p.all, e)
	p.places++
	p.dialing++
	p.books.dials++
	budget := p.rules.Load().HeartbeatTimeout
	if p.doubt && budget > 2*time.Duration(checkPatience) {
		budget -= time.Duration(checkPatience) // a check was cut before: both fit into one budget of the caller
	}
	base := context.Background()
	if p.queue.head != nil {
		base = context.WithoutCancel(p.queue.head.ctx)
	}
	go p.dial(base, e, p.ticket, budget)
}

// dial makes e's connection within budget. Ticket is the newest waiter at the time the dial began.
func (p *Pool[T]) dial(base context.Context, e *entry[T], ticket uint64, budget time.Duration) {
	p.emit(Event{Kind: ConnectionCreated, Conn: e.id, Generation: e.gen})
	ctx, cancel := context.WithTimeout(base, budget)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	ctx, capture := guard.WithCapture(ctx)
	// Some drivers do not look at their context during the handshake: the end of the socket ends those too.
	stopAbort := context.AfterFunc(ctx, func() {
		if g := capture.Conn(); g != nil {
			g.Abort(conn.Timeout)
		}
	})
	hung := time.AfterFunc(budget+dialGrace, func() { p.dialFailed(e, ticket, errDialHangs) })
	v, err := p.cfg.Dial(ctx)
	var who string
	if err == nil && p.cfg.Identity != nil {
		if who, err = p.cfg.Identity(ctx, v); err != nil {
			p.closeUnnamed(v, p.guardOf(v, capture), budget)
			err = fmt.Errorf("ask for the server's identity: %w", err)
		}
	}
	stopAbort()
	hung.Stop()
	if err != nil {
		p.dialFailed(e, ticket, err)
		return
	}
	p.dialed(e, v, p.guardOf(v, capture), who)
}

// closeUnnamed closes a connection that could not say who answers.
func (p *Pool[T]) closeUnnamed(v T, g *guard.Conn, bound time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	p.closeValue(ctx, v, g, false)
}

// dialed takes the new connection into the pool.
func (p *Pool[T]) dialed(e *entry[T], v T, g *guard.Conn, who string) {
	now := p.exact()
	p.mu.Lock()
	w := e.cell.Load()
	if w.State() != conn.Dialing {
		p.mu.Unlock()
		p.closeValue(context.Background(), v, g, false) // it was given up as hanging: nobody knows of it
		return
	}
	e.value, e.guard, e.made = v, g, true
	e.proven.Store(now)
	e.stamp.Store(now)
	if g != nil {
		e.peer = peerOf(g)
	}
	e.settle(p.rules.Load())
	p.mu.Unlock()
	if g != nil {
		g.SetPool(p.cfg.Name)
	}
	p.emit(Event{Kind: ConnectionReady, Conn: e.id, Generation: e.gen, Duration: time.Duration(now - e.born)})
	if p.cfg.Identity != nil {
		p.identified(e, who)
	}
	if g != nil {
		g.OnDeath(func(conn.Death) { p.died(e) })
	}
	p.handBack(e, w)
}

// dialedLocked counts the end of a dial that succeeded.
func (p *Pool[T]) dialedLocked() {
	p.dialing--
	if !p.shared {
		p.backoff = backoff{} // a shared one has to show first that it takes leases
	}
	p.books.lastDialErr = nil
	p.noteLocked()
}

// patience is the share of HeartbeatTimeout that somebody may have waited to be left in line for a dial of his own when a slow one fails: who has just come
// would otherwise be told of a silence that was over before.
const patience = 32

// dialFailed counts the end of a dial that failed, once, and tells those who have nothing better to wait for. When no connection and no
// dial is left, they are those who waited since before the dial began. A slow failure is the silence of a server, and the next dial would
// be as slow: those who have waited for all of it are told in any case, and where only other dials are left, all who did not come just now are, as
// dials that begin at different times would hold them for one after the other.
func (p *Pool[T]) dialFailed(e *entry[T], ticket uint64, err error) {
	p.mu.Lock()
	if e.made { // it succeeded in the moment in which it was given up
		p.mu.Unlock()
		return
	}
	if _, ok := e.cell.Move(conn.Word(0), conn.Closed, 0); !ok {
		p.mu.Unlock()
		return
	}
	now := p.exact()
	p.dialing--
	p.places--
	p.easeLocked()
	p.forgetLocked(e)
	p.books.dialErrors++
	p.books.lastDialErr = err
	slow := time.Duration(now-e.born) >= p.rules.Load().HeartbeatTimeout/2
	if !slow { // a slow dial was pause enough
		p.backoff.fail(now, rand.Float64())
	}
	if slow && p.places == p.dialing {
		ticket = max(ticket, p.waitedLocked(now, p.rules.Load().HeartbeatTimeout/patience))
	}
	if slow || p.places == 0 {
		p.failLocked(ticket, &DialError{Pool: p.cfg.Name, Err: err})
	}
	p.growLocked()
	p.noteLocked()
	p.mu.Unlock()
	p.emit(Event{Kind: ConnectionClosed, Conn: e.id, Generation: e.gen, Cause: conn.Error, Err: err, Duration: time.Duration(now - e.born)})
}

// guardOf finds the guarded socket under v.
func (p *Pool[T]) guardOf(v T, capture *guard.Capture) *guard.Conn {
	if p.cfg.Guard != nil {
		return p.cfg.Guard(v)
	}
	switch c := any(v).(type) {
	case *guard.Conn:
		return c
	case net.Conn:
		if g, ok := guard.From(c); ok {
			return g
		}
	}
	return capture.Conn()
}

func peerOf(g *guard.Conn) string {
	if a := g.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}
