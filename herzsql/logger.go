package herzsql

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// linesPerSecond bounds the log of one database. When a server goes, all its connections go at once; what is too much is
// counted in the next line.
const linesPerSecond = 10

// chronicler logs every connection that ended without our deciding it, and passes events on.
type chronicler struct {
	log  *slog.Logger
	next pool.Observer // nil: none
	owes atomic.Bool   // lines were suppressed and not told of yet

	// mu guards what follows. Nothing is called under it.
	mu         sync.Mutex
	second     time.Time
	lines      int
	suppressed int
}

// WantsLoans reports whether anybody wants the events of loans: the log says nothing of them. In pooled mode they would cost more than the loans.
func (c *chronicler) WantsLoans() bool {
	if s, ok := c.next.(pool.Selective); ok {
		return s.WantsLoans()
	}
	return c.next != nil
}

// Observe logs, and passes the event on.
func (c *chronicler) Observe(e pool.Event) {
	if lost := e.Kind == pool.ConnectionClosed && e.Death != nil && !e.Death.Cause.Ours(); lost || c.owes.Load() {
		c.write(e, lost)
	}
	if c.next != nil {
		c.next.Observe(e)
	}
}

func (c *chronicler) write(e pool.Event, lost bool) {
	line, suppressed := c.admit(e.At, lost)
	c.confess(e.Pool, suppressed)
	if line {
		c.log.Warn("herz: connection lost", attributes(e.Pool, *e.Death)...)
	}
}

// confess tells how many lines were left out.
func (c *chronicler) confess(pool string, suppressed int) {
	if suppressed > 0 {
		c.log.Warn("herz: more connections were lost than lines are written", "pool", pool, "suppressed", suppressed)
	}
}

// admit decides whether a lost connection gets a line, and how many did not in the second before.
func (c *chronicler) admit(at time.Time, lost bool) (line bool, suppressed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.Sub(c.second) >= time.Second {
		c.second, c.lines = at, 0
		suppressed, c.suppressed = c.suppressed, 0
		c.owes.Store(false)
	}
	switch {
	case !lost:
		return false, suppressed
	case c.lines >= linesPerSecond:
		c.suppressed++
		c.owes.Store(true)
		return false, suppressed
	default:
		c.lines++
		return true, suppressed
	}
}

// unasked tells of a result that was cut short, and whose error nobody looked at.
func (c *chronicler) unasked(at time.Time, site string, d conn.Death) {
	line, suppressed := c.admit(at, true)
	c.confess(d.Pool, suppressed)
	if line {
		c.log.Warn("herz: a result was cut short and nobody looked at its error", append([]any{"site", site, "cure", askErr}, attributes(d.Pool, d)...)...)
	}
}

const askErr = "ask rows.Err() after the loop, and log or return what it gives"

func attributes(name string, d conn.Death) []any {
	a := []any{
		"pool", name, "conn", d.ID, "peer", d.Peer, "cause", d.Cause.String(), "why", d.Cause.Sentence(),
		"age", d.Age.Round(time.Millisecond), "idle", d.Idle.Round(time.Millisecond), "phase", d.Phase, "bytes_sent", d.BytesSent,
	}
	if d.Errno != 0 {
		a = append(a, "errno", d.Errno.Error())
	}
	if d.Detail != "" {
		a = append(a, "detail", d.Detail)
	}
	return a
}
