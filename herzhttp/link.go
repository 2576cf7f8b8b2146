package herzhttp

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"herz.example/herz/guard"
)

// link is one connection: net/http's end of it, and the guard below.
type link struct {
	cc    *http.ClientConn
	guard *guard.Conn // nil: what Base dialled could not be found
	http2 bool
	of    *host

	live   atomic.Int64 // requests that are under way on it
	rested atomic.Int64 // when the last of them ended, by clock
	used   atomic.Bool  // it has served a request

	// Over HTTP/2.
	met     bool         // the server's SETTINGS have come; not written once the connection is the pool's
	begun   atomic.Int64 // requests that it was lent for
	refused atomic.Int64 // of these, those that it did not take because it had said goodbye
}

// epoch is the zero of clock.
var epoch = time.Now()

// clock is the time in nanoseconds, never 0.
func clock() int64 { return int64(time.Since(epoch)) + 1 }

// shares is how many requests the connection takes at the same time, now. net/http counts those whose stream was reset and that the server has not
// acknowledged yet as if they went on, so that a dead connection fills up. Both numbers are net/http's own: ours of those that go on runs ahead of it, and
// a connection would be given more than it takes.
func (l *link) shares() int {
	if !l.http2 {
		return 1
	}
	n := l.cc.InFlight() + l.cc.Available()
	if n == streamsBeforeSettings && !l.met && !l.used.Load() {
		return 1 // see meet
	}
	return l.of.width.limit(n, l.begun.Load())
}

// enter notes that a request goes out.
func (l *link) enter() {
	if l.live.Add(1) == 1 {
		l.of.of.busy.Add(1)
	}
	switch {
	case l.http2:
		l.begun.Add(1)
	case l.guard != nil:
		l.guard.Begin()
	}
}

// leave notes that a request has ended.
func (l *link) leave() {
	if l.live.Add(-1) != 0 {
		return
	}
	l.rested.Store(clock())
	l.of.of.busy.Add(-1)
	if l.guard != nil {
		l.guard.Begin() // it rests; what is left unanswered, such as an update of the window, waits for nothing
	}
}

// pauseOfAnswer is how often it is looked whether a ping has been answered.
const pauseOfAnswer = 2 * time.Millisecond

// answer waits for a sign of life. When a stream is cancelled on a connection from which no frame came since it began, net/http sends a ping with the
// RST_STREAM and counts the stream as in flight until that is answered (golang/go#70575): this is the ping that is waited for. Where none is under way, only
// the kernel is asked.
func (l *link) answer(ctx context.Context) error {
	t := time.NewTimer(pauseOfAnswer)
	defer t.Stop()
	for {
		if err := l.alive(); err != nil {
			return err
		}
		if !l.http2 || int64(l.cc.InFlight()) <= l.live.Load() {
			return nil
		}
		select {
		case <-t.C:
			t.Reset(pauseOfAnswer)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *link) alive() error {
	if err := l.cc.Err(); err != nil {
		return err
	}
	if l.guard != nil {
		return l.guard.Alive()
	}
	return nil
}
