package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"herz.example/herz/conn"
)

// Stats are the pool's numbers as they are now.
func (p *Pool[T]) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.statsLocked()
}

// NumActive is the number of connections that are lent now, by the name that commons-pool and its JMX beans have for it. It is Stats().InUse.
func (p *Pool[T]) NumActive() int { return p.Stats().InUse }

// NumIdle is the number of idle connections, by the name that commons-pool and its JMX beans have for it. It is Stats().Idle. Its difference to
// NumActive says nothing: a healthy pool that rests has an idle number and no active one.
func (p *Pool[T]) NumIdle() int { return p.Stats().Idle }

// statsLocked counts the states in one pass over the words. Each word is read once, so that the sums are true of each connection,
// and a connection that the guard saw die in its user's hands counts as stale, not as in use.
func (p *Pool[T]) statsLocked() Stats {
	b := &p.books
	s := Stats{
		Name: p.cfg.Name, Generation: p.rules.Load().generation, Waiting: p.queue.n, Acquires: b.leases, Waits: b.waits, WaitTimeouts: b.timeouts,
		WaitCancels: b.cancels, WaitRefused: b.refused, WaitTime: time.Duration(p.waitTime.Load()), Dials: b.dials, DialErrors: b.dialErrors,
		Heartbeats: p.beats.Load(), HeartbeatErrs: p.missed.Load(), Misuses: p.misuses.Load(), DeadLent: b.deadLent, Closed: map[conn.Cause]uint64{},
	}
	for i := range s.WaitCounts {
		s.WaitCounts[i] = p.waited[i].Load()
	}
	for _, e := range p.all {
		w := e.cell.Load()
		s.Acquires += w.Seq()
		s.Leases += w.Leases()
		s.count(e.stateOf(w))
	}
	s.Open = s.Idle + s.Checking + s.InUse + s.Stale + s.Closing
	if w := p.queue.head; w != nil {
		s.OldestWait = time.Duration(p.exact() - w.since)
	}
	if b.lastDialErr != nil {
		s.LastDialError = b.lastDialErr.Error()
	}
	for c, n := range b.closed {
		if n > 0 {
			s.Closed[conn.Cause(c)] = n
		}
	}
	return s
}

func (s *Stats) count(state conn.State) {
	switch state {
	case conn.Dialing:
		s.Dialing++
	case conn.Idle:
		s.Idle++
	case conn.Checking:
		s.Checking++
	case conn.InUse:
		s.InUse++
	case conn.Stale:
		s.Stale++
	case conn.Closing:
		s.Closing++
	case conn.Closed:
	}
}

// stateOf is the state as the outside shall see it: a dead connection is never idle or in use.
func (e *entry[T]) stateOf(w conn.Word) conn.State {
	if s := w.State(); s != conn.Idle && s != conn.InUse || !e.dead() {
		return s
	}
	return conn.Stale
}

// StackMarks are addresses by which a reader of stacks tells that a goroutine works for this pool: the functions that wait for a connection, dial,
// check and close are called with one of them. Herz's board asks for them; they mean nothing else, and keep nothing alive.
func (p *Pool[T]) StackMarks() []uintptr {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]uintptr, 0, len(p.all)+p.queue.n)
	for _, e := range p.all {
		list = append(list, uintptr(unsafe.Pointer(e)))
	}
	for w := p.queue.head; w != nil; w = w.next {
		list = append(list, uintptr(unsafe.Pointer(w)))
	}
	for w := p.spares.head; w != nil; w = w.next { // whoever waits next takes one of these
		list = append(list, uintptr(unsafe.Pointer(w)))
	}
	return list
}

// Snapshot lists the connections as they are now, oldest first, those being dialled included.
func (p *Pool[T]) Snapshot() []ConnInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.exact()
	list := make([]ConnInfo, 0, len(p.all))
	for _, e := range p.all {
		list = append(list, e.infoLocked(now))
	}
	slices.SortFunc(list, func(a, b ConnInfo) int { return int(a.ID) - int(b.ID) })
	return list
}

func (e *entry[T]) infoLocked(now int64) ConnInfo {
	w := e.cell.Load()
	c := ConnInfo{
		ID: e.id, State: e.stateOf(w), Peer: e.peer, Generation: e.gen, Age: time.Duration(now - e.born), Uses: w.Seq(), Leases: w.Leases(),
		LastHeartbeat: time.Duration(e.rtt.Load()), Cause: e.closing,
	}
	if who := e.identity.Load(); who != nil {
		c.Identity = *who
	}
	since := time.Duration(max(now-e.stamp.Load(), 0))
	if w.State() == conn.InUse {
		c.Held = since
		c.Holder = e.holder.text(w.Seq())
	} else {
		c.Idle = since
	}
	return c
}

// Deaths are the newest 128 connections that ended, newest first. Dials that failed are not among them: they never lived.
func (p *Pool[T]) Deaths() []conn.Death {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(p.books.deathsTotal, deathsKept)
	list := make([]conn.Death, n)
	for i := range list {
		list[i] = p.books.deaths[(p.books.deathsTotal-1-uint64(i))%deathsKept]
	}
	return list
}

// Limits are the limits in force, defaults filled in.
func (p *Pool[T]) Limits() Limits { return p.rules.Load().Limits }

func (p *Pool[T]) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.n
}

// waitFailed counts the wait of w that ended without a connection and says why.
func (p *Pool[T]) waitFailed(w *waiter[T], err error, waited int64) error {
	p.mu.Lock()
	ahead := p.aheadLocked(w)
	switch {
	case errors.Is(err, context.Canceled):
		p.books.cancels++
	case errors.Is(err, errWaitedLong), errors.Is(err, context.DeadlineExceeded):
		p.books.timeouts++
	}
	p.mu.Unlock()
	var dial *DialError
	if errors.Is(err, ErrClosed) || errors.As(err, &dial) {
		return err
	}
	return p.exhausted(err, time.Duration(waited), ahead)
}

// glance is a look at the pool for the errors of those who gave up. In a storm of them one look serves all for some milliseconds.
type glance struct {
	at      int64
	stats   Stats
	held    int      // connections that are lent, the dead among them
	holders []Holder // of those
	dialErr error
}

// glanceTime is how long a look may serve.
const glanceTime = int64(20 * time.Millisecond)

// maxHolders is the greatest number of holders that an error names.
const maxHolders = 16

func (p *Pool[T]) glance() *glance {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.exact()
	if p.seen != nil && now-p.seen.at < glanceTime {
		return p.seen
	}
	g := &glance{at: now, stats: p.statsLocked(), dialErr: p.books.lastDialErr}
	for _, e := range p.all {
		if w := e.cell.Load(); w.State() == conn.InUse {
			g.held++
			g.holders = append(g.holders, Holder{Conn: e.id, Held: time.Duration(max(now-e.stamp.Load(), 0)), Stack: e.holder.text(w.Seq())})
		}
	}
	slices.SortFunc(g.holders, func(a, b Holder) int { return int(b.Held - a.Held) })
	g.holders = g.holders[:min(len(g.holders), maxHolders)]
	p.seen = g
	p.traced = now + int64(traceTime)
	p.tracing.Store(true)
	return g
}

// exhausted makes the error of a caller who got no connection. A caller who only changed his mind gets the short one.
func (p *Pool[T]) exhausted(reason error, waited time.Duration, ahead int) error {
	if errors.Is(reason, context.Canceled) {
		return &ExhaustedError{Pool: p.cfg.Name, Waited: waited, Ahead: ahead, CtxErr: reason}
	}
	g := p.glance()
	e := &ExhaustedError{
		Pool: p.cfg.Name, Waited: waited, Ahead: ahead, Stats: g.stats, Holders: g.holders, DialErr: g.dialErr, Advice: advise(g, p.Limits()),
	}
	if reason != nil {
		e.CtxErr = reason
		if errors.Is(reason, errWaitedLong) {
			e.CtxErr = context.DeadlineExceeded
		}
	}
	return e
}

// advise tells what to change.
func advise(g *glance, l Limits) string {
	switch {
	case g.dialErr != nil:
		return "see why the server cannot be reached"
	case g.stats.Waiting >= l.MaxWaiters:
		return fmt.Sprintf("%d callers wait already (MaxWaiters): shed load before the pool, or raise it", l.MaxWaiters)
	case g.stats.Open+g.stats.Dialing-g.stats.Closing < l.MaxOpen:
		return "connections are being made too slowly: raise MaxDialing or MinIdle"
	case len(g.holders) > 0 && g.holders[0].Held > 10*time.Second:
		return "look at the longest holder: is its connection ever returned? Set LeakAfter to see stacks"
	default:
		return fmt.Sprintf("raise MaxOpen (%d), or hold connections for less long", l.MaxOpen)
	}
}
