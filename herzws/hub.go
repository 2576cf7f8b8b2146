package herzws

import (
	"sync"
	"sync/atomic"
	"time"
)

// hub has the connections of one server or client, the goroutine that looks at them when it is time, and those that run callbacks.
type hub struct {
	interval, grace time.Duration
	closeTimeout    time.Duration
	maxMessage      int
	queueBytes      int
	slow            Slow
	workers         int
	client          bool
	onMessage       func(*Conn, Kind, []byte)
	onClose         func(*Conn, error)
	ended           func(*Conn, *CloseError) // of this package: before onClose
	also            func(now time.Duration)  // of this package: at each round of the sweep
	alsoEvery       time.Duration
	keep            func() bool // of this package: the sweep has work without any connection

	born   time.Time
	counts *counters

	// mu guards the table and whether the sweep runs. No connection is called under it, and nothing waits.
	mu       sync.Mutex
	conns    []*Conn
	due      []time.Duration // when the sweep looks at each of them next
	free     []uint32
	open     int
	sweeping bool
	ready    []*Conn // of the sweep alone: those that it looks at
	alsoAt   time.Duration
	wake     chan struct{} // closed to have the sweep look at the clock
	nextLook time.Duration
	hurry    bool   // somebody asked for an early look
	emptied  atZero // no connection is left

	// runMu guards the line of connections that wait for a callback, and how many workers there are. Nothing is called under it.
	runMu   sync.Mutex
	line    []*Conn
	running int
	quiet   atZero // no worker is left

	poll poller
}

// counters are what Stats gives.
type counters struct {
	opened, closed, received, sent, dropped, pings, timeouts, violations, slow, drained, midFrame atomic.Uint64
}

// now is never 0, which stands for "not yet".
func (h *hub) now() time.Duration { return time.Since(h.born) + 1 }

// add gives the connection a place. Connections that came together are looked at, and pinged, together: apart, a ping with its answer costs up to a quarter
// more.
func (h *hub) add(c *Conn) {
	now := h.now()
	c.seen.Store(int64(now))
	due := now + h.interval
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.free); n > 0 {
		c.slot = h.free[n-1]
		h.free = h.free[:n-1]
		h.conns[c.slot], h.due[c.slot] = c, due
	} else {
		c.slot = uint32(len(h.conns)) //nolint:gosec // no process has four thousand million sockets
		h.conns, h.due = append(h.conns, c), append(h.due, due)
	}
	h.open++
	h.counts.opened.Add(1)
	h.sweepLocked(due)
}

// remove takes it out again.
func (h *hub) remove(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[c.slot], h.due[c.slot] = nil, 0
	h.free = append(h.free, c.slot)
	h.open--
	if h.open == 0 {
		h.shrinkLocked()
		h.wakeLocked()
		h.emptied.reached()
	}
	h.counts.closed.Add(1)
}

// shrinkLocked gives the memory of a table back in which nobody is left.
func (h *hub) shrinkLocked() {
	if len(h.conns) > 1024 {
		h.conns, h.due, h.free = nil, nil, nil
	}
}

// find gives the connection of a place. Places come back: an event that was meant for the one before makes this one read once in vain.
func (h *hub) find(slot uint32) *Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if int(slot) >= len(h.conns) {
		return nil
	}
	return h.conns[slot]
}

// all is a copy of the connections there are.
func (h *hub) all() []*Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*Conn, 0, h.open)
	for _, c := range h.conns {
		if c != nil {
			list = append(list, c)
		}
	}
	return list
}

// len is how many there are.
func (h *hub) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}

// look has the sweep look at a connection no later than at due.
func (h *hub) look(c *Conn, due time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if int(c.slot) >= len(h.conns) || h.conns[c.slot] != c || h.due[c.slot] <= due {
		return
	}
	h.due[c.slot], h.hurry = due, h.hurry || due < h.nextLook
	h.sweepLocked(due)
}

// nudge has the sweep look whether it still has work.
func (h *hub) nudge() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wakeLocked()
}

// start has the sweep run, though no connection may be open.
func (h *hub) start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sweepLocked(h.now() + h.alsoEvery)
}

// wakeLocked has the sweep look at the clock.
func (h *hub) wakeLocked() {
	if h.sweeping {
		close(h.wake)
		h.wake = make(chan struct{})
	}
}

// sweepLocked makes sure that the sweep runs, and looks no later than at due.
func (h *hub) sweepLocked(due time.Duration) {
	if !h.sweeping {
		h.sweeping, h.nextLook = true, due
		h.wake = make(chan struct{})
		go h.sweep()
		return
	}
	if due < h.nextLook {
		h.wakeLocked()
	}
}

// early is how long before its time a ping is sent when others leave: to wake a process up costs as much as some pings, and a peer that is asked a little
// too soon loses nothing. Ends have no such margin.
func (h *hub) early() time.Duration { return h.interval / 16 }

// tick is the least time between two looks at the table: what comes due in between is looked at together.
func (h *hub) tick() time.Duration {
	return min(max(h.interval/64, 2*time.Millisecond), 500*time.Millisecond)
}

// sweep is the one goroutine that moves read deadlines. It ends when no connection is left.
func (h *hub) sweep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, wake, over := h.plan()
		if over {
			return
		}
		meant := h.now() + wait
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-wake:
			if h.now() < meant { // else it is time anyway, and a process that stood still is not to be taken for one that did not
				continue
			}
		}
		now := h.now()
		// When this goroutine comes late by so much, the process stood still, and answers wait in the kernel that nobody has read.
		late := now-meant > h.grace/2
		h.round(now, late)
	}
}

// round looks at the connections that are ripe. Late: the process stood still.
func (h *hub) round(now time.Duration, late bool) {
	h.ready = h.ripe(now, h.ready[:0])
	for _, c := range h.ready {
		h.settle(c, c.look(now, late))
	}
	clear(h.ready)
	switch {
	case h.also == nil:
	case late: // nobody was heard by HTTP either: who is kept alive so has his whole time anew
		h.alsoAt = now + h.interval + h.grace
	case now >= h.alsoAt:
		h.also(now)
		h.alsoAt = now + h.alsoEvery
	}
}

// plan says how long to wait. Over: nobody is left, and the sweep has ended.
func (h *hub) plan() (wait time.Duration, wake <-chan struct{}, over bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open == 0 && (h.keep == nil || !h.keep()) {
		h.sweeping = false
		return 0, nil, true
	}
	now := h.now()
	next := now + time.Hour
	for i, c := range h.conns {
		if c != nil {
			next = min(next, h.due[i])
		}
	}
	if h.also != nil {
		next = min(next, max(h.alsoAt, now))
	}
	tick := h.tick()
	if h.hurry {
		tick, h.hurry = 2*time.Millisecond, false
	}
	h.nextLook = max(next, now+tick)
	return h.nextLook - now, h.wake, false
}

// ripe lists the connections whose time has come, or comes so soon that they may be asked with the others.
func (h *hub) ripe(now time.Duration, list []*Conn) []*Conn {
	until := now + h.early()
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, c := range h.conns {
		if c != nil && h.due[i] <= until {
			list = append(list, c)
			h.due[i] = 1 << 62 // settle puts it in; look may put an earlier one in meanwhile
		}
	}
	return list
}

// settle says when to look again, unless somebody asked for an earlier look meanwhile.
func (h *hub) settle(c *Conn, due time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if int(c.slot) < len(h.conns) && h.conns[c.slot] == c {
		h.due[c.slot] = min(h.due[c.slot], due)
	}
}

// dispatch has a worker run the connection.
func (h *hub) dispatch(c *Conn) {
	h.runMu.Lock()
	defer h.runMu.Unlock()
	h.line = append(h.line, c)
	if h.running < h.workers {
		h.running++
		go h.work()
	}
}

// work runs connections until none waits.
func (h *hub) work() {
	for c := h.take(); c != nil; c = h.take() {
		c.run()
	}
}

func (h *hub) take() *Conn {
	h.runMu.Lock()
	defer h.runMu.Unlock()
	if len(h.line) == 0 {
		h.line = nil
		if h.running--; h.running == 0 {
			h.quiet.reached()
		}
		return nil
	}
	c := h.line[0]
	h.line[0] = nil
	h.line = h.line[1:]
	return c
}

// gone gives a channel that is closed when no connection is left.
func (h *hub) gone() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.emptied.wait(h.open)
}

// still gives a channel that is closed when no callback runs.
func (h *hub) still() <-chan struct{} {
	h.runMu.Lock()
	defer h.runMu.Unlock()
	return h.quiet.wait(h.running)
}

// atZero tells those who wait that a count has come to zero. The lock of the count guards it; nil: nobody waits.
type atZero chan struct{}

// wait gives a channel that is closed when the count, which is count now, has come to zero.
func (z *atZero) wait(count int) <-chan struct{} {
	if count == 0 {
		return closedChan
	}
	if *z == nil {
		*z = make(chan struct{})
	}
	return *z
}

// reached says that it has.
func (z *atZero) reached() {
	if *z != nil {
		close(*z)
		*z = nil
	}
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()
