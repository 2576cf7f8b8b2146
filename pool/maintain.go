package pool

import (
	"time"

	"herz.example/herz/conn"
)

const (
	tick      = 10 * time.Millisecond // of the coarse clock, while the pool is used
	quietTime = 100                   // ticks without use after which the clock stops
	passEvery = 50 * time.Millisecond // between two looks at all connections, at least
	passEach  = 20 * time.Microsecond // more for each connection: a look at ten thousand is taken four times a second
	trimEvery = time.Second           // between two trims of the idle connections above KeepWarm
	traceTime = time.Minute           // for which every holder's stack is kept after an exhaustion
)

// maintain is the pool's one goroutine. While the pool is used it ticks the coarse clock; otherwise it sleeps until the next thing is due.
func (p *Pool[T]) maintain() {
	defer close(p.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	quiet := 0
	for {
		select {
		case <-p.life.Done():
			return
		case <-p.kick:
		case <-timer.C:
		}
		now := p.exact()
		if p.used() {
			quiet = 0
		} else {
			quiet++
		}
		if quiet <= quietTime {
			p.clock.Store(now)
			p.serve(now, true)
			timer.Reset(tick)
			continue
		}
		d, stops := p.rest(now)
		if !stops {
			quiet = 0
		}
		timer.Reset(d)
	}
}

// rest stops the clock, unless somebody came between the last look and that: he saw it go, and so woke nobody. It gives the time until the next
// thing is due.
func (p *Pool[T]) rest(now int64) (d time.Duration, stops bool) {
	p.clock.Store(0)
	due := p.serve(now, false)
	if p.touched.Load() || p.waiting() > 0 {
		return tick, false
	}
	return max(time.Duration(due-now), time.Millisecond), true
}

// wakeLocked makes the maintenance goroutine come at the given time, if it would come later.
func (p *Pool[T]) wakeLocked(at int64) {
	p.nextPass = min(p.nextPass, at)
	if at < p.asleep {
		p.asleep = at
		p.wake()
	}
}

// used reports whether anybody used the pool since the last tick, or waits now. Heartbeats are no use: they shall not keep the clock of
// an idle pool going.
func (p *Pool[T]) used() bool {
	if p.touched.Load() {
		p.touched.Store(false)
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.n > 0 || p.hurriedLocked()
}

// hurriedLocked reports whether a check keeps somebody waiting: a caller in the line, or one who drains the pool.
func (p *Pool[T]) hurriedLocked() bool {
	return p.checking > 0 && (p.queue.n > 0 || p.phase != open)
}

// serve does what is due now and returns when the next thing is due. While the pool is used, the short way back through the slots tells
// nobody what will be due: so every connection is looked at each second, and once more before the clock stops.
func (p *Pool[T]) serve(now int64, used bool) int64 {
	p.mu.Lock()
	p.asleep = 0
	p.looks++
	var work rounds[T]
	work.strayLocked(p)
	if oldest := p.idle.tail; oldest != nil {
		// What came back through a slot told nobody, and can be one too many.
		p.nextPass = min(p.nextPass, p.dueOf(oldest, p.rules.Load()))
	}
	p.expireLocked(now)
	if p.hurriedLocked() {
		work.cutLocked(p, now, checkPatience, errCut)
	}
	if now >= max(p.nextPass, p.passedAt) || !used {
		work.passLocked(p, now)
	}
	if used {
		p.nextPass = min(p.nextPass, now+int64(trimEvery))
	}
	p.mu.Unlock()
	work.finish(p)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !used {
		p.asleep = p.nextPass
	}
	return p.nextPass
}

// expireLocked ends the waits that have no deadline of their own and lasted for AcquireTimeout.
func (p *Pool[T]) expireLocked(now int64) {
	for w := p.queue.head; w != nil; {
		next := w.next
		if now >= w.until {
			p.leaveLocked(w)
			w.ch <- grant[T]{err: errWaitedLong}
		}
		w = next
	}
	if p.traced != 0 && now > p.traced {
		p.traced = 0
		p.tracing.Store(p.rules.Load().LeakAfter > 0)
	}
}

// rounds is what one look at the connections found to do. It is done with no lock held; the maintenance goroutine owns the entries.
type rounds[T any] struct {
	ends  []ending[T]
	beats []*entry[T]
	leaks []Event
}

type ending[T any] struct {
	e     *entry[T]
	w     conn.Word
	cause conn.Cause
	err   error
}

// strayLocked sweeps the slots. A connection that came back while the pool was being closed or made smaller, and was swept before
// its user could take it out again, ends here.
func (r *rounds[T]) strayLocked(p *Pool[T]) {
	p.sweepSlotsLocked()
	cause, list := conn.Drained, []*entry[T](nil)
	switch {
	case p.phase != open:
		list = p.takeAllIdleLocked()
	case p.excess:
		cause, list = conn.Shrunk, p.shrinkLocked()
	}
	for _, e := range list {
		r.ends = append(r.ends, ending[T]{e: e, w: e.cell.Load(), cause: cause})
	}
	if p.shared && p.queue.n > 0 {
		p.reviveLocked()
	}
}

// cutLocked finds the checks that have lasted for too long.
func (r *rounds[T]) cutLocked(p *Pool[T], now, patience int64, why error) {
	for _, e := range p.all {
		if p.cutLocked(e, now, patience) {
			r.ends = append(r.ends, ending[T]{e, e.cell.Load(), conn.Heartbeat, why})
		}
	}
}

// passLocked looks at every connection once and computes when to look again.
func (r *rounds[T]) passLocked(p *Pool[T], now int64) {
	rules := p.rules.Load()
	next := now + int64(time.Hour)
	if p.checking > 0 {
		r.cutLocked(p, now, rules.longestCheck(), errCheckHangs)
	}
	r.idleLocked(p, rules, now)
	r.trimLocked(p, rules, now)
	for _, e := range p.all {
		r.leakLocked(e, rules, now)
		if due := p.dueOf(e, rules); due > now {
			next = min(next, due)
		} else {
			next = now // it could not be done now: too many checks at once, or somebody waits
		}
	}
	if rules.KeepWarm > 0 && p.idle.n > rules.KeepWarm {
		next = min(next, p.nextTrim)
	}
	if p.backoff.until > now && p.wantLocked(rules) > 0 {
		next = min(next, p.backoff.until)
	}
	p.passedAt = now + int64(passEvery) + int64(len(p.all))*int64(passEach)
	p.nextPass = max(next, p.passedAt)
}

// idleLocked takes out the idle connections whose time has come, oldest first.
func (r *rounds[T]) idleLocked(p *Pool[T], rules *rules, now int64) {
	beats := max(1, len(p.all)/10) - p.checking
	side := len(r.beats) // those from here on lay side by side
	for e := p.idle.tail; e != nil; {
		at := e
		e = e.prev
		idle := at.cell.Load().State() == conn.Idle // else, in shared mode, it is lent and has room
		cause := conn.None
		if idle {
			cause = p.overdueLocked(at, rules, now)
		}
		switch {
		case cause != conn.None:
			p.idle.remove(at)
			p.oweLocked(cause, 1)
			r.ends = append(r.ends, ending[T]{e: at, w: at.cell.Load(), cause: cause})
		case idle && beats > 0 && p.queue.n == 0 && at.beatDue(rules, now):
			beats--
			p.idle.remove(at)
			p.takenLocked(at) // until it counts as being checked: the burial of another would dial in its place
			r.beats = append(r.beats, at)
		default:
			for ; side < len(r.beats); side++ {
				r.beats[side].near = at
			}
		}
	}
}

// overdueLocked is why e, which rests, must rest no longer; None when it may.
func (p *Pool[T]) overdueLocked(e *entry[T], rules *rules, now int64) conn.Cause {
	switch {
	case e.dead():
		return conn.Error
	case e.gen != rules.generation:
		return rules.outdated
	case now >= e.expires.Load():
		return conn.MaxLifetime
	case rules.MaxIdleTime > 0 && now-e.stamp.Load() >= int64(rules.MaxIdleTime) && p.idle.n > rules.warmest():
		return conn.MaxIdle
	default:
		return conn.None
	}
}

// beatDue reports whether e, which rests, is to be pinged.
func (e *entry[T]) beatDue(r *rules, now int64) bool {
	return e.asked || r.HeartbeatEvery > 0 && e.quiet(now) >= int64(r.HeartbeatEvery)
}

// warmest is the number of idle connections below which MaxIdleTime closes none, nor below MinIdle: it would be dialled again at once.
func (r *rules) warmest() int {
	kept := int(float64(r.KeepWarm)*r.KeepWarmElastic + 0.999999)
	return max(kept, r.MinIdle)
}

// trimLocked closes, once a second, a tenth of the idle connections above KeepWarm: never all at once, never as they are returned.
func (r *rounds[T]) trimLocked(p *Pool[T], rules *rules, now int64) {
	if rules.KeepWarm == 0 || now < p.nextTrim {
		return
	}
	over := p.idle.n - max(rules.KeepWarm, rules.MinIdle)
	p.nextTrim = now + int64(trimEvery)
	for n := (over + 9) / 10; n > 0; n-- {
		e := p.idle.tail
		if e == nil || now-e.stamp.Load() < int64(trimEvery) || e.cell.Load().State() != conn.Idle {
			return
		}
		p.idle.remove(e)
		r.ends = append(r.ends, ending[T]{e: e, w: e.cell.Load(), cause: conn.MaxIdle})
	}
}

// leakLocked reports a lease that is held for longer than LeakAfter, once.
func (r *rounds[T]) leakLocked(e *entry[T], rules *rules, now int64) {
	w := e.cell.Load()
	if rules.LeakAfter <= 0 || w.State() != conn.InUse || e.leakSeen == w.Seq() {
		return
	}
	held := now - e.stamp.Load()
	if held < int64(rules.LeakAfter) {
		return
	}
	e.leakSeen = w.Seq()
	r.leaks = append(r.leaks, Event{
		Kind: Leaked, Conn: e.id, Generation: e.gen, Held: true, Duration: time.Duration(held), Stack: e.holder.text(w.Seq()),
	})
}

// dueOf is when the maintenance goroutine must look at e next.
func (p *Pool[T]) dueOf(e *entry[T], r *rules) int64 {
	w := e.cell.Load()
	switch w.State() {
	case conn.InUse:
		if r.LeakAfter > 0 && e.leakSeen != w.Seq() {
			return e.stamp.Load() + int64(r.LeakAfter)
		}
		return never
	case conn.Checking:
		if c := e.check; c != nil && !c.cut {
			return c.began + r.longestCheck()
		}
		return never
	case conn.Idle:
	default:
		return never
	}
	if e.asked {
		return 0
	}
	due := e.expires.Load()
	if r.HeartbeatEvery > 0 {
		due = min(due, max(e.stamp.Load(), e.proven.Load())+int64(r.HeartbeatEvery))
	}
	if r.MaxIdleTime > 0 && p.idle.n > r.warmest() {
		due = min(due, e.stamp.Load()+int64(r.MaxIdleTime))
	}
	return due
}

// finish does what was found, and looks at what lies there before it dials for those who wait: somebody who has just joined the line may not
// have looked yet.
func (r *rounds[T]) finish(p *Pool[T]) {
	for _, end := range r.ends {
		p.bury(end.e, end.w, end.cause, end.err)
	}
	for _, e := range r.beats {
		p.heartbeat(e)
	}
	for _, leak := range r.leaks {
		p.emit(leak)
	}
	p.pump()
}

// heartbeat pings e, which the caller owns. Where there is no ping, only the kernel is asked, which needs no goroutine.
func (p *Pool[T]) heartbeat(e *entry[T]) {
	w := e.cell.Load()
	if p.cfg.Ping != nil || p.cfg.Identity != nil {
		p.startCheck(e, w, pinging)
		return
	}
	if e.guard != nil && e.guard.Alive() != nil {
		p.bury(e, w, conn.Error, nil)
		return
	}
	e.proven.Store(p.exact())
	p.handBack(e, w)
}
