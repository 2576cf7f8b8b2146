package herzhttp

import (
	"testing"
	"time"

	"herz.example/herz/conn"
)

// ForgetAtOnce makes hosts without connections be forgotten at the next occasion.
func ForgetAtOnce(t testing.TB) {
	was := forgetAfter
	forgetAfter = 0
	t.Cleanup(func() { forgetAfter = was })
}

// KeepAliveOf is what a header Keep-Alive says.
func KeepAliveOf(value string) time.Duration { return keepAliveOf(value) }

// TraceOf is what a header traceparent says.
func TraceOf(value string) string { return traceOf(value) }

// Share is how much of rest is given to the dial of one of so many addresses.
func Share(rest time.Duration, left int) time.Duration { return share(rest, left) }

// Fence is what a host has learned of its peer's idle time-out.
type Fence struct{ fence }

// Died tells it of a connection that was lent so many times, and that the peer closed after a rest.
func (f *Fence) Died(rest time.Duration, uses uint64) {
	f.learn(&conn.Death{Cause: conn.PeerFIN, Phase: "idle", Idle: rest}, uses)
}

// Limit is the rest up to which a connection is used; 0: any.
func (f *Fence) Limit() time.Duration { return f.limit() }

// Pass lets time pass.
func (f *Fence) Pass(d time.Duration) {
	f.until.Add(-int64(d))
	f.lastDeath -= int64(d)
}
