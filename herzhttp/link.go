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
	made  int64 // by clock

	live    atomic.Int64 // requests that are under way on it
	rested  atomic.Int64 // when the last of them ended, by clock
	answers atomic.Int64 // requests whose answer has begun
	keeps   atomic.Int64 // the idle time up to which it is used because of what its server says; 0: it says nothing

	// Over HTTP/2.
	doubted atomic.Int64 // by clock: when the newest request began that ran out of time without an answer; 0: none did
	pinged  atomic.Int64 // 1 more than answers was when the peer gave its last sign of life; 0: nobody asked for one
	met     bool         // the server's SETTINGS have come; not written once the connection is the pool's
	begun   atomic.Int64 // requests that it was lent for
	refused atomic.Int64 // of these, those that it did not take because it had said goodbye
}

// epoch is the zero of clock.
var epoch = time.Now()

// clock is the time in nanoseconds, never 0.
func clock() int64 { return int64(time.Since(epoch)) + 1 }

// used reports whether the connection has served a request.
func (l *link) used() bool { return l.answers.Load() > 0 }

// fresh is for how long a connection counts as just made that has served nobody.
const fresh = int64(time.Second)

// stale reports whether the connection ended while it rested and nobody noticed, as without a guard nobody does. One that ends as soon as it is made is lent:
// its request fails, and the next ones are not made and made again.
func (l *link) stale() bool {
	return l.guard == nil && l.cc.Err() != nil && (l.used() || clock()-l.made > fresh)
}

// idle is how long the connection has rested: since its last answer ended, or since its last byte where that came well before the caller was done with the
// answer. From then on its server counts.
func (l *link) idle() time.Duration {
	now := clock()
	idle := time.Duration(now - l.rested.Load())
	if l.guard != nil {
		at, _ := l.guard.LastByte()
		idle = max(idle, time.Duration(now)-at.Sub(epoch))
	}
	return idle
}

// shares is how many requests the connection takes at the same time, now. net/http counts those whose stream was reset and that the server has not
// acknowledged yet as if they went on, so that a dead connection fills up. Both numbers are net/http's own: ours of those that go on runs ahead of it, and
// a connection would be given more than it takes.
func (l *link) shares() int {
	if !l.http2 {
		return 1
	}
	n := l.cc.InFlight() + l.cc.Available()
	if n == streamsBeforeSettings && !l.met && !l.used() {
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
// RST_STREAM (golang/go#70575): this is the ping whose answer is waited for. Where none is under way, only the kernel is asked.
func (l *link) answer(ctx context.Context) error {
	asked := clock()
	t := time.NewTimer(pauseOfAnswer)
	defer t.Stop()
	for {
		if err := l.alive(); err != nil {
			return err
		}
		if !l.http2 || l.heard(asked) {
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

// heard reports whether there is a sign of life, or none to wait for. Until a ping is answered net/http counts the stream that it went out with as in flight,
// but it no longer counts those whose answer has arrived and is not read yet: that none is too many proves nothing where nothing came since the request began
// that ran out of time.
func (l *link) heard(asked int64) bool {
	calm := int64(l.cc.InFlight()) <= l.live.Load()
	if l.guard != nil {
		last := l.lastReceived()
		silent := last < l.doubted.Load() && l.pings()
		calm = last >= asked || calm && !silent
	}
	if calm {
		l.pinged.Store(l.answers.Load() + 1)
	}
	return calm
}

// pings reports whether net/http sends pings: not after one was answered and before the next frame of a stream, and not on a connection that takes no more
// requests.
func (l *link) pings() bool { return l.pinged.Load() != l.answers.Load()+1 && l.cc.Available() > 0 }

// lastReceived is when the newest byte came, by clock; 0: none came.
func (l *link) lastReceived() int64 {
	at := l.guard.LastReceived()
	if at.IsZero() {
		return 0
	}
	return int64(at.Sub(epoch)) + 1
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
