package pool

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"herz.example/herz/conn"
)

// linesPerSecond bounds the log of one pool. When a server goes, all its connections go at once; what is too much is counted in the next line.
const linesPerSecond = 10

// Log is an [Observer] that writes one line, at WARN, for each connection that ended without our deciding it. herzsql has one by itself; a pool
// is given one as its observer. It writes ten lines a second and counts the others in a line of their own. It needs no closing.
type Log struct {
	to   *slog.Logger
	owes atomic.Bool // lines were suppressed and not told of yet

	// mu guards what follows. Nothing is called under it.
	mu         sync.Mutex
	second     time.Time
	lines      int
	suppressed int
}

// NewLog makes a Log that writes to l. Nil: slog.Default, as it is now.
func NewLog(l *slog.Logger) *Log {
	if l == nil {
		l = slog.Default()
	}
	return &Log{to: l}
}

// WantsLoans reports false: the log says nothing of loans.
func (l *Log) WantsLoans() bool { return false }

// Observe writes the line, where there is one.
func (l *Log) Observe(e Event) {
	lost := e.Kind == ConnectionClosed && e.Death != nil && !e.Death.Cause.Ours()
	if !lost && !l.owes.Load() {
		return
	}
	line, suppressed := l.admit(e.At, lost)
	l.confess(e.Pool, suppressed)
	if line {
		l.to.Warn("herz: connection lost", attributes(e.Pool, *e.Death)...)
	}
}

// confess tells how many lines were left out.
func (l *Log) confess(pool string, suppressed int) {
	if suppressed > 0 {
		l.to.Warn("herz: more connections were lost than lines are written", "pool", pool, "suppressed", suppressed)
	}
}

// admit decides whether a lost connection gets a line, and how many did not in the second before.
func (l *Log) admit(at time.Time, lost bool) (line bool, suppressed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at.Sub(l.second) >= time.Second {
		l.second, l.lines = at, 0
		suppressed, l.suppressed = l.suppressed, 0
		l.owes.Store(false)
	}
	switch {
	case !lost:
		return false, suppressed
	case l.lines >= linesPerSecond:
		l.suppressed++
		l.owes.Store(true)
		return false, suppressed
	default:
		l.lines++
		return true, suppressed
	}
}

// Unasked writes a line for a result that was cut short, and whose error nobody looked at, with the place in the program.
func (l *Log) Unasked(u conn.Unasked) {
	line, suppressed := l.admit(u.Last, true)
	l.confess(u.Death.Pool, suppressed)
	if line {
		about := append([]any{"site", u.Site, "cure", askErr}, attributes(u.Death.Pool, u.Death)...)
		l.to.Warn("herz: a result was cut short and nobody looked at its error", about...)
	}
}

const askErr = "ask rows.Err() after the loop, and log or return what it gives"

func attributes(name string, d conn.Death) []any {
	a := []any{
		"pool", name, "conn", d.ID, "peer", d.Peer, "cause", d.Cause.String(), "why", d.Cause.Sentence(), "age", d.Age.Round(time.Millisecond),
		"idle", d.Idle.Round(time.Millisecond), "phase", d.Phase, "bytes_sent", d.BytesSent, "retry_safe", d.BytesSent == 0,
	}
	if d.Errno != 0 {
		a = append(a, "errno", d.Errno.Error())
	}
	if d.Detail != "" {
		a = append(a, "detail", d.Detail)
	}
	if hint := d.Cause.Hint(); hint != "" {
		a = append(a, "hint", hint)
	}
	return a
}
