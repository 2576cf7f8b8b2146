package guard

import (
	"sync/atomic"
	"time"

	"herz.example/herz/conn"
)

// A living peer acknowledges within a round trip. Linux sends a packet again when nothing was acknowledged for that and 200 ms more, its
// shortest time-out. lostAfter is that and time for the acknowledgement on a quick path; on slower ones it is looked again.
const (
	lostAfter   = 280 * time.Millisecond
	lookAgain   = 70 * time.Millisecond
	shortestRTO = 200 * time.Millisecond
)

// Expect bounds the wait for an answer that a living peer gives at once, such as that to a ping: after limit the connection is aborted
// with cause Heartbeat. It is aborted earlier, from 280 ms on, when the kernel tells that the question has not even arrived: it was sent again, and
// that was not acknowledged within the usual round trip either. A peer whose kernel acknowledges has until limit. The question must be sent at
// once after Expect. Stop ends the wait; it reports whether the connection was left alone.
func (c *Conn) Expect(limit time.Duration) (stop func() bool) {
	var over atomic.Bool
	asked := time.Now()
	cut := func() {
		if over.CompareAndSwap(false, true) {
			c.Abort(conn.Heartbeat)
		}
	}
	if limit <= lostAfter || !c.kind.TCP {
		t := time.AfterFunc(limit, cut)
		return func() bool {
			t.Stop()
			return over.CompareAndSwap(false, true)
		}
	}
	var look func()
	look = func() {
		ago := time.Since(asked)
		switch {
		case over.Load(): // stopped
		case ago >= limit, c.lost(ago):
			cut()
		default:
			time.AfterFunc(min(lookAgain, limit-ago), look)
		}
	}
	t := time.AfterFunc(lostAfter, look)
	return func() bool {
		t.Stop()
		return over.CompareAndSwap(false, true)
	}
}

// lost reports whether a question of so long ago was sent again at least once, and the acknowledgement of that is overdue. The kernel's
// time-out is the round trip and at least 200 ms more, and doubles with each time.
func (c *Conn) lost(ago time.Duration) bool {
	info, ok := c.info()
	if !ok || info.Unacked == 0 || info.SentAge > ago-shortestRTO/2 {
		return false
	}
	trip := max(info.RTO>>info.Retransmits-shortestRTO, 0)
	return info.SentAge > trip+ackTick
}
