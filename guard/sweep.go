package guard

import (
	"fmt"
	"sync"
	"syscall"
	"time"
	"weak"

	"herz.example/herz/conn"
	"herz.example/herz/internal/sys"
)

const (
	sweepEvery = 250 * time.Millisecond
	// sweepAfter is how long an exchange waits before it is looked at. Most answers come sooner and cost nothing.
	sweepAfter = 500 * time.Millisecond
	// sweepLate is a gap between two looks that means that this process or machine stood still. The peer must then be
	// given time to be heard.
	sweepLate = time.Second
	// settle is what is kept of HeartbeatTimeout for the kernel's timers and for waking the reader.
	settle = 200 * time.Millisecond
	// lastChance is how near a retransmission must be, before or behind, for its answer to be waited for: an outage is over
	// for TCP only when something is sent again.
	lastChance = 80 * time.Millisecond
	// sweepProbes is how many probes the kernel sends while the sweep decides; more than the sweep can ask for in any
	// HeartbeatTimeout that makes sense, so that it is only the net under the sweep.
	sweepProbes = 100
	// ackTick is more than the grain of the kernel's clock of acknowledgements (a tick is 1 to 10 ms).
	ackTick = 20 * time.Millisecond
)

// sweeper looks at the exchanges that wait. Its goroutine runs while its list is not empty.
var sweeper = struct {
	// mu guards list, Conn.sweepSlot and running. Nothing but list operations happens under it.
	mu      sync.Mutex
	list    []weak.Pointer[Conn]
	running bool

	wake chan struct{} // the list became empty
}{wake: make(chan struct{}, 1)}

// enlist puts a connection whose exchange begins to wait on the sweep's list, and starts the sweep if need be. One that works is there already.
func (c *Conn) enlist() {
	if !c.enlisted.Load() {
		c.enlistNow()
	}
}

func (c *Conn) enlistNow() {
	if !c.kind.TCP || c.noSweep || c.state.Load() != stateOpen {
		return
	}
	sweeper.mu.Lock()
	defer sweeper.mu.Unlock()
	if !c.enlisted.CompareAndSwap(false, true) {
		return
	}
	c.sweepSlot = len(sweeper.list)
	sweeper.list = append(sweeper.list, c.self)
	if !sweeper.running && !inBubble() {
		sweeper.running = true
		go sweep()
	}
}

// delist takes it off the list.
func (c *Conn) delist() {
	sweeper.mu.Lock()
	defer sweeper.mu.Unlock()
	if !c.enlisted.CompareAndSwap(true, false) {
		return
	}
	last := len(sweeper.list) - 1
	moved := sweeper.list[last]
	sweeper.list[c.sweepSlot] = moved
	if m := moved.Value(); m != nil {
		m.sweepSlot = c.sweepSlot
	}
	sweeper.list = sweeper.list[:last]
	if last == 0 {
		select {
		case sweeper.wake <- struct{}{}:
		default:
		}
	}
}

// sweep is the goroutine: it looks, sleeps until the next look is due, and ends when nothing waits any more.
func sweep() {
	timer := time.NewTimer(sweepEvery)
	defer timer.Stop()
	var batch []*Conn
	looked := now()
	for {
		select {
		case <-timer.C:
		case <-sweeper.wake:
		}
		var more bool
		if batch, more = takeBatch(batch[:0]); !more {
			return
		}
		at := now()
		late := at-looked > int64(sweepLate)
		looked = at
		next := sweepEvery
		for i, c := range batch {
			next = min(next, c.look(at, late))
			batch[i] = nil // the sweep must not keep a forgotten connection alive
		}
		timer.Reset(next)
	}
}

// takeBatch copies the list and drops the connections that were collected. It says false, and marks the sweep as ended, when nothing
// is left.
func takeBatch(batch []*Conn) ([]*Conn, bool) {
	sweeper.mu.Lock()
	defer sweeper.mu.Unlock()
	kept := sweeper.list[:0]
	for _, p := range sweeper.list {
		if c := p.Value(); c != nil {
			c.sweepSlot = len(kept)
			kept = append(kept, p)
			batch = append(batch, c)
		}
	}
	clear(sweeper.list[len(kept):])
	sweeper.list = kept
	sweeper.running = len(kept) > 0
	return batch, sweeper.running
}

// look judges one waiting exchange and says when it wants to be looked at again.
func (c *Conn) look(at int64, late bool) time.Duration {
	since := c.waiting.Load()
	switch {
	case c.state.Load() != stateOpen, since == 0 && !c.midAnswer(at):
		c.rest()
		return sweepEvery
	case since == 0:
		since = c.lastIO.Load()
	}
	if at-since < int64(sweepAfter) {
		c.unackedSince = 0 // what was in flight at an earlier look was answered
		return sweepEvery
	}
	info, ok := c.info()
	switch {
	case !ok:
		return sweepEvery // it is being closed
	case info.Unacked == 0 && (c.inIO.Load() == 0 || info.NotSent == 0 && c.opt.nobodyWaits()):
		c.rest() // everything arrived and nobody waits for an answer; the next Read or Write comes back here
		return sweepEvery
	case late:
		return sweepEvery
	}
	limit := c.opt.unackedLimit(c.arm(info.Unacked == 0 || info.PeerWindow > 0))
	silent := c.silent(info, at)
	next := info.RTO - info.SentAge // until the kernel sends again
	switch {
	case silent >= limit && silent < limit+2*lastChance && next > -lastChance && next < lastChance:
		return max(next+lastChance/2, 10*time.Millisecond)
	case silent >= limit:
		c.abort(conn.Unacked, syscall.ETIMEDOUT, fmt.Sprintf("%d segments in flight, %d retransmissions, nothing acknowledged for %v",
			info.Unacked, info.Retransmits, silent.Round(time.Millisecond)))
	case silent > 0 && limit-silent < sweepEvery:
		return max(limit-silent, 10*time.Millisecond)
	case c.windowLost(info, at):
		c.abort(conn.Unacked, syscall.ETIMEDOUT, fmt.Sprintf("the peer's window is shut, %d probes without an answer, the last sign of life %v ago",
			info.Probes, info.AckAge))
	case info.Unacked == 0 && info.NotSent == 0 && info.Probes > 0:
		return c.unanswered(info)
	}
	return sweepEvery
}

// unanswered judges an exchange that the peer has acknowledged and whose keep-alive probe it does not answer. The kernel
// alone would send one more, and two can be lost in an outage of little more than a second; so each look sends one.
func (c *Conn) unanswered(info sys.Info) time.Duration {
	left := c.opt.HeartbeatTimeout - settle - info.AckAge
	if left <= 0 && info.Probes > 1 {
		c.abort(conn.KeepAlive, syscall.ETIMEDOUT, fmt.Sprintf("%d probes without an answer, the last sign of life %v ago", info.Probes, info.AckAge))
		return sweepEvery
	}
	_ = c.raw.Control(func(fd uintptr) { sys.ProbeNow(fd, c.opt.keepAlive().Idle) })
	return min(max(left, 10*time.Millisecond), sweepEvery)
}

// silent is how long at least something that was sent has been without an acknowledgement; 0 when nothing is. The age of the newest
// acknowledgement alone does not tell: it is old as well when nothing was sent for a while, or when retransmissions are far apart.
func (c *Conn) silent(info sys.Info, at int64) time.Duration {
	if info.Unacked == 0 || info.SentAge >= info.AckAge {
		c.unackedSince = 0
		return 0
	}
	acked := at - int64(info.AckAge)
	if c.unackedSince == 0 || acked-c.unackedAck > int64(ackTick) {
		c.unackedSince, c.unackedAck = at, acked // first seen now; it can be older by one look
	}
	oldest := c.unackedSince
	for _, since := range [...]int64{c.waiting.Load(), c.burst.Load()} {
		if since > acked-int64(ackTick) {
			oldest = min(oldest, since) // nothing was acknowledged since that write
		}
	}
	return time.Duration(at - oldest)
}

// windowLost reports whether a peer whose receive window is shut has stopped to answer the probes of it. Keep-alive is
// silent while data waits to be sent, so the kernel would go on for a quarter of an hour. The clock starts when
// the first probe is seen to be unanswered, because probes can be far apart.
func (c *Conn) windowLost(info sys.Info, at int64) bool {
	if info.Unacked > 0 || info.NotSent == 0 || info.Probes == 0 {
		c.probesSince = 0
		return false
	}
	if c.probesSince == 0 {
		c.probesSince = at
	}
	return info.Probes >= 2 && time.Duration(at-c.probesSince) >= c.opt.HeartbeatTimeout*3/4
}

// rest takes the connection off the list and gives it its own keep-alive setting back. It comes back when a new
// exchange began in the meantime.
func (c *Conn) rest() {
	c.disarm()
	c.probesSince, c.unackedSince = 0, 0
	c.delist()
	if c.midAnswer(now()) || (c.waiting.Load() != 0 && c.inIO.Load() > 0 && !c.opt.nobodyWaits()) {
		c.enlist()
	}
}

// nobodyWaits reports whether it is known, and not only guessed from the bytes, that nobody waits for the peer.
func (o Options) nobodyWaits() bool {
	return o.Awaited != nil && !o.ListenKeepAlive && !o.Awaited()
}

// midAnswer reports whether somebody reads on after part of an answer, or listens under ListenKeepAlive, or waits by what Awaited says. Without
// it, whether the answer is complete is not known, and a reader may rest in Read between exchanges (HTTP/1, LISTEN), so that this is
// believed for a while only.
func (c *Conn) midAnswer(at int64) bool {
	if c.inIO.Load() == 0 {
		return false
	}
	if c.opt.Awaited != nil && !c.opt.ListenKeepAlive {
		return c.opt.Awaited()
	}
	return c.opt.ListenKeepAlive || (c.sent.Load() > 0 && at-c.lastIO.Load() < 2*int64(c.opt.HeartbeatTimeout))
}

// unackedLimit is how long data may be unacknowledged. The kernel retransmits 0.2, 0.6, 1.4 and 3.0 s after the first
// time, or, where it sends a tail loss probe, after 0.2, 0.4, 0.8, 1.7 and 3.3 s; with pauses of at most 1 s the last of these
// are at 2.4 and 2.7 s. The limit lies behind the first that comes after an outage of 1.5 s.
func (o Options) unackedLimit(capped bool) time.Duration {
	if capped {
		return o.HeartbeatTimeout * 13 / 16
	}
	return o.HeartbeatTimeout - settle/2
}

// keepAlive is the setting under which the kernel itself gives up before HeartbeatTimeout (idle + interval × count): that of a
// listener, and, but for the count, that of an exchange that waits.
func (o Options) keepAlive() sys.KeepAlive {
	unit := max(1, int(o.HeartbeatTimeout/(3200*time.Millisecond)))
	count := max(1, int((o.HeartbeatTimeout-settle)/(time.Duration(unit)*time.Second))-1)
	return sys.KeepAlive{On: true, Idle: unit, Interval: unit, Count: count}
}
