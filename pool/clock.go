package pool

import (
	"sync/atomic"
	"time"
)

// coarse tells the time of one pool, in nanoseconds since it was made. A reading of the machine's clock costs as much as a loan, so that loans and returns read
// a coarse one, which the maintenance goroutine ticks while the pool is used. Like core it has no type parameter.
type coarse struct {
	clock   atomic.Int64 // coarse time; 0 while it stands still because nobody uses the pool
	touched atomic.Bool  // somebody used the clock since it last ticked
	epoch   time.Time
	kick    chan struct{}
}

// exact is the time, read from the machine. It is never 0.
func (c *coarse) exact() int64 { return int64(time.Since(c.epoch)) + 1 }

// now is the coarse time, at most some ten milliseconds old. It costs two loads; the first caller after
// a pause pays for an exact reading and sets the clock going.
func (c *coarse) now() int64 {
	now, goes := c.reading()
	if !goes {
		now = c.firstNow()
	}
	return now
}

// reading is the coarse time where somebody has used the clock since it last ticked. Loans and returns call it and firstNow themselves, because
// it, and not now, is small enough for the compiler to put in the place of the call.
func (c *coarse) reading() (now int64, goes bool) {
	now = c.clock.Load()
	return now, now != 0 && c.touched.Load()
}

// firstNow is now for the first caller since the clock ticked.
func (c *coarse) firstNow() int64 {
	c.touched.Store(true)
	if now := c.clock.Load(); now != 0 {
		return now
	}
	c.wake()
	return c.exact()
}

// glimpse is now for the pool's own work, which does not keep the clock going.
func (c *coarse) glimpse() int64 {
	if now := c.clock.Load(); now != 0 {
		return now
	}
	return c.exact()
}

// wake makes the maintenance goroutine look at the pool now.
func (c *coarse) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}
