package pool

import (
	"math"
	"time"

	"herz.example/herz/conn"
)

// handBack gives e, whose word is w and which the caller owns, to the oldest waiter, or else to the store; or closes it when it is
// unfit. False: its word was no longer w, so that the caller was not its owner after all.
func (p *Pool[T]) handBack(e *entry[T], w conn.Word) bool {
	if cause := p.unfitness(e, w); cause != conn.None {
		return p.bury(e, w, cause, nil)
	}
	p.mu.Lock()
	cause := conn.None
	switch {
	case p.phase != open:
		cause = conn.Drained
	case p.excess && p.places > p.rules.Load().MaxOpen:
		cause = conn.Shrunk
	}
	if cause != conn.None {
		p.mu.Unlock()
		return p.bury(e, w, cause, nil)
	}
	ask := p.rules.Load().everyLoan && w.State() != conn.Checking && w.State() != conn.Dialing && !e.proved(p.glimpse())
	h, moved, died := p.placeLocked(e, w, ask)
	p.mu.Unlock()
	h.send()
	if died {
		p.bury(e, e.cell.Load(), conn.Error, nil)
	}
	if p.shared || ask {
		p.pump()
	}
	return moved
}

// placeLocked lends e to the oldest waiter, to whom the caller sends it, or lays it into the idle list, as it does always when e is to be asked
// first: then the caller pumps. Died: it was found dead after it lay there, and is the caller's again.
func (p *Pool[T]) placeLocked(e *entry[T], w conn.Word, ask bool) (h handover[T], moved, died bool) {
	if p.shared {
		moved, died = p.placeSharedLocked(e, w)
		return h, moved, died
	}
	moved = true
	if !ask {
		h, moved = p.grantLocked(e, w)
	}
	if h.w == nil && moved && w.State() != conn.Idle {
		_, moved = e.cell.Move(w, conn.Idle, 0)
	}
	if !moved {
		return h, false, false
	}
	p.spares.put(e.spare)
	e.spare = nil
	p.leftLocked(e, w)
	e.check = nil // also one that was to be cut and was answered just in time
	if h.w != nil {
		e.near = nil
		return h, true, false
	}
	p.insertLocked(e)
	if e.dead() {
		p.idle.remove(e)
		return h, true, true
	}
	p.restLocked(e)
	return h, true, false
}

// takenLocked marks an entry that a pump took out of the store: it is still a supply, so that nobody dials in its place.
func (p *Pool[T]) takenLocked(e *entry[T]) {
	e.lending = true
	p.lending++
}

// settledLocked ends takenLocked.
func (p *Pool[T]) settledLocked(e *entry[T]) {
	if e.lending {
		e.lending = false
		p.lending--
	}
}

// restLocked sees to it that the maintenance goroutine comes when e is due, which rests now, or when the oldest is: one more idle connection
// can be one too many.
func (p *Pool[T]) restLocked(e *entry[T]) {
	r := p.rules.Load()
	p.wakeLocked(min(p.dueOf(e, r), p.dueOf(p.idle.tail, r)))
}

// leftLocked counts that e is no longer what its word w says, being dialled or being checked, nor in the hands of a pump.
func (p *Pool[T]) leftLocked(e *entry[T], w conn.Word) {
	p.settledLocked(e)
	switch w.State() {
	case conn.Dialing:
		p.dialedLocked()
	case conn.Checking:
		p.checkedLocked(e)
	default:
	}
}

// unfitness is why e must not be lent again after the lease w; None when it may.
func (p *Pool[T]) unfitness(e *entry[T], w conn.Word) conn.Cause {
	if g := e.guard; g != nil {
		if g.Dead() {
			return conn.Error
		}
		if cause, bad := g.Condemned(); bad {
			return cause
		}
	}
	r := p.rules.Load()
	switch {
	case e.gen != r.generation:
		return r.outdated
	case w.Seq() >= r.maxUses:
		return conn.MaxUses
	case p.glimpse() >= e.expires.Load():
		return conn.MaxLifetime
	default:
		return conn.None
	}
}

// pump brings idle connections and waiters together until one of them is used up, and starts dials or pings where that helps.
func (p *Pool[T]) pump() {
	if p.shared {
		p.pumpShared()
		return
	}
	for {
		p.mu.Lock()
		var e *entry[T]
		if p.frontLocked() != nil {
			e = p.takeIdleLocked()
		}
		if e == nil {
			p.growLocked()
			p.mu.Unlock()
			return
		}
		p.takenLocked(e)
		p.mu.Unlock()
		w := e.cell.Load()
		switch v, cause := p.examine(e, p.rules.Load(), p.now()); v {
		case fit:
			p.handBack(e, w)
		case unfit:
			p.bury(e, w, cause, nil)
		case suspect:
			if !p.checkForWaiter(e, w) {
				return
			}
		}
	}
}

// supplyLocked sees to it that somebody who has just joined the line is served. True: something rests in the store, and the caller has to
// pump. Whoever offers a connection while there is a line takes it back himself, so that only the first in line has to look for offers.
func (p *Pool[T]) supplyLocked() bool {
	if p.shared {
		return true
	}
	if p.queue.n == 1 {
		p.sweepSlotsLocked()
	}
	if p.idle.n > 0 {
		return true
	}
	p.growLocked()
	return false
}

// checkForWaiter pings e for somebody who waits; but it starts no more pings than there are waiters. The idle list is sorted
// by age, so that there is nothing better behind e.
func (p *Pool[T]) checkForWaiter(e *entry[T], w conn.Word) bool {
	p.mu.Lock()
	if p.checking < p.queue.n {
		p.mu.Unlock()
		return p.startCheck(e, w, pinging)
	}
	p.settledLocked(e)
	cause := conn.None
	if p.phase != open {
		cause = conn.Drained
	} else if p.insertLocked(e); e.dead() {
		p.idle.remove(e)
		cause = conn.Error
	}
	p.growLocked()
	p.mu.Unlock()
	if cause != conn.None {
		p.bury(e, w, cause, nil)
	}
	return false
}

// growLocked starts the dials that waiters, MinIdle and WarmUp ask for, within MaxOpen, MaxDialing and the pause after failures.
func (p *Pool[T]) growLocked() {
	r := p.rules.Load()
	if p.phase != open || p.dialing >= r.MaxDialing || p.places >= r.MaxOpen {
		return
	}
	want := p.wantLocked(r)
	if want <= 0 {
		return
	}
	if now := p.exact(); now < p.backoff.until {
		p.wakeLocked(p.backoff.until)
		return
	}
	for ; want > 0 && p.dialing < r.MaxDialing && p.places < r.MaxOpen; want-- {
		p.startDialLocked()
	}
}

// wantLocked is the number of connections that are missing.
func (p *Pool[T]) wantLocked(r *rules) int {
	supply := p.dialing + p.lending
	if !p.doubt {
		supply += p.checking
	}
	need := p.queue.n
	if p.shared {
		need = p.sharedNeedLocked()
	}
	if r.MinIdle > 0 {
		supply += p.idleLocked()
		// What has no place is not missing: the debt would be taken off that, and not off what can be dialled.
		if missing := min(need+r.MinIdle-supply, r.MaxOpen-p.places); missing > 0 {
			need = max(need, supply+missing-p.debtLocked(r))
		}
	}
	return max(need-supply, p.warm-p.places)
}

// oweLocked notes that n connections end by a decision that can meet many at once, so that their replacement is subject to the budget.
// It comes before the first of them is buried, because a burial looks for what is missing.
func (p *Pool[T]) oweLocked(cause conn.Cause, n int) {
	switch cause {
	case conn.MaxLifetime, conn.Generation, conn.Identity:
		p.debtLocked(p.rules.Load())
		p.debt += float64(n)
	default:
	}
}

// debtLocked is how many replacements have to wait for the budget. It is paid off by time.
func (p *Pool[T]) debtLocked(r *rules) int {
	now := p.exact()
	if paid := float64(now-p.debtAt) / float64(time.Second) * float64(r.ReconnectPerSecond); r.ReconnectPerSecond < 0 || paid >= p.debt {
		p.debt = 0
	} else {
		p.debt -= paid
		p.wakeLocked(now + int64(time.Second)/int64(r.ReconnectPerSecond))
	}
	p.debtAt = now
	return int(math.Ceil(p.debt))
}

// idleLocked is the number of connections that rest in the store.
func (p *Pool[T]) idleLocked() int {
	n := p.idle.n
	for i := range p.slots {
		if e := p.slots[i].e.Load(); e != nil && e.cell.Load().Offered() {
			n++
		}
	}
	return n
}

// died is told by the guard that e's connection has ended. A connection that rests is closed at once; one that is lent or being checked
// is closed when it comes back.
func (p *Pool[T]) died(e *entry[T]) {
	p.mu.Lock()
	mine := p.unlinkLocked(e) && e.cell.Load().State() == conn.Idle
	p.mu.Unlock()
	if mine {
		p.bury(e, e.cell.Load(), conn.Error, nil)
		p.pump()
	}
}

// backoff is the pause after dials that failed. It is guarded by Pool.mu.
type backoff struct {
	failures int
	until    int64
}

// The pause after the first failed dial, and the longest one. A random share of up to a half is taken off each, so that many
// processes that lost the same server do not come back together.
const (
	backoffFirst = 10 * time.Millisecond
	backoffMost  = time.Second
)

func (b *backoff) fail(now int64, random float64) {
	pause := backoffMost
	if b.failures < 7 {
		pause = min(backoffFirst<<b.failures, backoffMost)
	}
	b.failures++
	b.until = now + int64(float64(pause)*(1-random/2))
}
