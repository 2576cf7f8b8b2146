package proxy

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// End is how a connection ends for its client.
type End uint8

// The ends.
const (
	FIN End = iota // as a server that closes
	RST            // as a server that crashed, or a box in between
)

// String is its name.
func (e End) String() string {
	if e == RST {
		return "RST"
	}
	return "FIN"
}

// settle is how long the server must be silent before its answer counts as complete. A statement has been executed, and committed,
// when its answer leaves; a long answer comes in several parts.
const settle = 20 * time.Millisecond

// markerMost bounds a marker.
const markerMost = 1024

// Trap says what happens to the answer to one request. The zero value swallows the next answer on any connection and closes
// with a FIN.
type Trap struct {
	// Marker is what the request contains, at most 1024 bytes. It may lie across two packets. Empty: the next bytes that any
	// client sends. Under TLS it cannot be seen.
	Marker string
	// Keep is how many bytes of the answer the client still gets.
	Keep int
	// End is how the client's connection ends then.
	End End
	// Hold holds the answer back instead, behind Keep bytes, until [Sprung.Release]; the connection does not end.
	Hold bool
}

// Sprung is a trap that was set.
type Sprung struct {
	trap    Trap
	sprung  chan struct{}
	done    chan struct{}
	release chan struct{}
	freed   atomic.Bool
	swallow atomic.Int64
	ended   atomic.Bool
	told    sync.Once
}

// finish says that the answer has met its fate.
func (s *Sprung) finish() { s.told.Do(func() { close(s.done) }) }

// Fallen is closed when a request has sprung the trap.
func (s *Sprung) Fallen() <-chan struct{} { return s.sprung }

// Done is closed when the answer has met its fate: it was swallowed or cut and the connection has ended, or it is held, or it was
// so short that it passed whole and the client asked for more.
func (s *Sprung) Done() <-chan struct{} { return s.done }

// Swallowed is how many bytes of the answer the client did not get, so far.
func (s *Sprung) Swallowed() int64 { return s.swallow.Load() }

// Ended reports that the trap ended the connection. It is false after Done where the answer had no more than Keep bytes.
func (s *Sprung) Ended() bool { return s.ended.Load() }

// Release lets a held answer go, and the trap with it.
func (s *Sprung) Release() {
	if s.freed.CompareAndSwap(false, true) {
		close(s.release)
	}
}

// Set sets a trap. There is one at a time: a trap that was not sprung yet is taken away.
func (p *Proxy) Set(t Trap) (*Sprung, error) {
	if t.Keep < 0 || len(t.Marker) > markerMost || t.End > RST {
		return nil, fmt.Errorf("proxy: trap: Keep is %d, the marker has %d bytes, End is %d; want Keep ≥ 0, at most %d bytes, FIN or RST",
			t.Keep, len(t.Marker), t.End, markerMost)
	}
	s := &Sprung{trap: t, sprung: make(chan struct{}), done: make(chan struct{}), release: make(chan struct{})}
	p.trap.Store(s)
	return s, nil
}

// sees reports whether a client's bytes, behind the tail of the ones before, spring the trap, and takes it.
func (p *Proxy) sees(tail, sent []byte) *Sprung {
	s := p.trap.Load()
	if s == nil {
		return nil
	}
	marker := []byte(s.trap.Marker)
	found := bytes.Contains(sent, marker)
	if !found && len(tail) > 0 {
		found = bytes.Contains(append(bytes.Clone(tail), sent[:min(len(sent), len(marker))]...), marker)
	}
	if !found || !p.trap.CompareAndSwap(s, nil) {
		return nil
	}
	return s
}
