package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// certain is how long the news of the end of a connection must have been on its way before a request on it counts as lent dead:
// loopback delivers in microseconds, a busy machine needs longer to look.
const certain = 50 * time.Millisecond

// Tap stands at the bottom of a client's connections, below the guard where there is one, and sees what reaches the kernel.
type Tap struct {
	told    func(local string) (time.Time, bool)
	carries func(bytes []byte) bool
	dead    atomic.Int64

	// mu guards open, gone and serial. Nothing else happens under it.
	mu     sync.Mutex
	open   map[*tapped]struct{}
	gone   []*tapped // closed, newest last
	serial uint64
}

// A closed connection is listed for goneFor, and at most goneMax of them are kept.
const (
	goneFor = 5 * time.Second
	goneMax = 32
)

// NewTap makes a tap. told says when the news that a connection has ended left for the client's address; carries says
// whether bytes hold a request of the application, and not a ping, a farewell or a handshake.
func NewTap(told func(local string) (time.Time, bool), carries func([]byte) bool) *Tap {
	return &Tap{told: told, carries: carries, open: map[*tapped]struct{}{}}
}

// DeadLent is the number of requests whose bytes were written to a connection of which this machine had known for at least
// 50 ms, by a FIN or a RST, that it has ended. A refusal before the first byte does not count: no request was put on the connection.
func (t *Tap) DeadLent() int { return int(t.dead.Load()) }

// Seen is one connection as it looks from outside.
type Seen struct {
	ID        uint64
	Local     string
	Peer      string
	Opened    time.Time
	Last      time.Time // when bytes last went or came
	Waiting   bool      // a request is out
	DeadSince time.Time // when the end of the connection was told; zero while it lives
	Closed    time.Time // when its client closed it; zero while it is open
	Cause     string    // once it is closed, or known to be dead: that of the guard, else what the client saw last
	Known     bool      // its guard knows that it is dead
}

// Conns lists the connections that are open, or were until a few seconds ago, oldest first.
func (t *Tap) Conns() []Seen {
	t.mu.Lock()
	all := make([]*tapped, 0, len(t.open)+len(t.gone))
	for c := range t.open {
		all = append(all, c)
	}
	for _, c := range t.gone {
		if time.Since(c.closedAt()) < goneFor {
			all = append(all, c)
		}
	}
	t.mu.Unlock()
	seen := make([]Seen, 0, len(all))
	for _, c := range all {
		seen = append(seen, c.seen())
	}
	slices.SortFunc(seen, func(a, b Seen) int { return int(a.ID) - int(b.ID) })
	return seen
}

// Dial is a dialler that taps what d dials.
func (t *Tap) Dial(d *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		tc, ok := nc.(*net.TCPConn)
		if !ok {
			return nc, nil
		}
		c := &tapped{TCPConn: tc, tap: t, local: tc.LocalAddr().String(), peer: tc.RemoteAddr().String(), opened: time.Now()}
		c.last.Store(c.opened.UnixNano())
		c.note(nil)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.serial++
		c.id = t.serial
		t.open[c] = struct{}{}
		return c, nil
	}
}

func (t *Tap) leave(c *tapped) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, open := t.open[c]; !open {
		return
	}
	delete(t.open, c)
	t.gone = append(t.gone, c)
	if extra := len(t.gone) - goneMax; extra > 0 {
		t.gone = slices.Delete(t.gone, 0, extra)
	}
}

// tapped is a TCP connection that is looked at. What it does not override is the socket's own.
type tapped struct {
	*net.TCPConn
	tap     *Tap
	id      uint64
	local   string
	peer    string
	opened  time.Time
	last    atomic.Int64
	waiting atomic.Bool
	looked  atomic.Bool                // for the guard
	guard   atomic.Pointer[guard.Conn] // above; nil: none
	closed  atomic.Int64               // Unix nanoseconds; 0: open
	saw     atomic.Uint32              // a conn.Cause: what the client saw last
}

func (c *tapped) closedAt() time.Time { return time.Unix(0, c.closed.Load()) }

func (c *tapped) seen() Seen {
	s := Seen{ID: c.id, Local: c.local, Peer: c.peer, Opened: c.opened, Last: time.Unix(0, c.last.Load()), Waiting: c.waiting.Load()}
	s.DeadSince, _ = c.tap.told(c.local)
	if c.closed.Load() != 0 {
		s.Closed, s.Cause = c.closedAt(), conn.Cause(c.saw.Load()).String()
	}
	if g := c.guard.Load(); g != nil {
		if d, dead := g.Death(); dead {
			s.Cause, s.Known = d.Cause.String(), true
		}
	}
	return s
}

// Write counts requests that are put on a dead connection.
func (c *tapped) Write(b []byte) (int, error) {
	now := time.Now()
	if !c.looked.Swap(true) {
		c.guard.Store(guard.Find(c.local, c.peer))
	}
	if c.tap.carries(b) {
		c.waiting.Store(true)
		if at, dead := c.tap.told(c.local); dead && now.Sub(at) >= certain {
			c.tap.dead.Add(1)
		}
	}
	c.last.Store(now.UnixNano())
	n, err := c.TCPConn.Write(b)
	c.note(err)
	return n, err
}

// note remembers what an error of the socket tells of its end.
func (c *tapped) note(err error) {
	switch {
	case errors.Is(err, io.EOF):
		c.saw.Store(uint32(conn.PeerFIN))
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		c.saw.Store(uint32(conn.PeerRST))
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.saw.Store(uint32(conn.Timeout))
	case err == nil:
		c.saw.Store(uint32(conn.Error)) // should it be closed now, then for a reason of its user's
	}
}

// Read notes when something came.
func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if n > 0 {
		c.waiting.Store(false)
		c.last.Store(time.Now().UnixNano())
	}
	c.note(err)
	return n, err
}

// Close ends the connection.
func (c *tapped) Close() error {
	c.closed.CompareAndSwap(0, time.Now().UnixNano())
	c.tap.leave(c)
	return c.TCPConn.Close()
}

// CarriesMySQL tells requests of the application: COM_QUERY, COM_STMT_PREPARE, COM_STMT_EXECUTE. The command follows the
// header of four bytes, whose last is 0 in the first packet of a request (MySQL internals manual, client/server protocol).
func CarriesMySQL(b []byte) bool {
	return len(b) > 4 && b[3] == 0 && (b[4] == 0x03 || b[4] == 0x16 || b[4] == 0x17)
}

// CarriesRedis tells requests of the application: GET and INCR.
func CarriesRedis(b []byte) bool {
	head := bytes.ToLower(b[:min(len(b), 16)])
	return bytes.Contains(head, []byte("\nget\r")) || bytes.Contains(head, []byte("\nincr\r"))
}
