package herzws

import (
	"bufio"
	"crypto/tls"
	"net"
	"sync"
	"syscall"
)

// portable is what a connection has that a goroutine reads.
type portable struct {
	nc   net.Conn
	raw  syscall.RawConn // nil: writing may wait, and a goroutine does it
	turn chan struct{}   // a worker gives the connection back to its reader; nil: no message has come yet
	few  [smallRead]byte // what a resting connection is read into
}

// smallRead is how much of a resting connection is read at once: the answer to a ping. What is longer is read into a large buffer from there on.
const smallRead = 24

// newPortable takes a connection; early is what was read of it already.
func newPortable(h *hub, nc net.Conn) *Conn {
	p := &portable{nc: nc}
	switch nc := nc.(type) {
	case *net.TCPConn:
		p.raw, _ = nc.SyscallConn()
	case *net.UnixConn:
		p.raw, _ = nc.SyscallConn()
	}
	if !triesWrites {
		p.raw = nil
	}
	return &Conn{hub: h, side: p, fd: -1}
}

// read is the goroutine of the connection. It has little on its stack, so that one that rests costs the smallest there is.
func (c *Conn) read(early []byte) {
	for len(early) > 0 && c.eat(early) {
		early = c.takeRest()
	}
	small := c.side.few[:]
	for {
		n, err := c.side.nc.Read(small)
		if n > 0 && !c.chew(small[:n]) {
			break
		}
		if err != nil {
			c.lost(err)
			break
		}
		if c.in != nil && !c.readMuch() {
			break
		}
	}
	_ = c.side.nc.Close() // it is over; what the peer should see was written or shut before
	c.end()
}

// readMuch reads into a large buffer, as long as a frame or message is under way, or it was full: a connection that rests keeps none.
func (c *Conn) readMuch() bool {
	p := buffers.Get().(*[]byte)
	defer putBuffer(p)
	b := (*p)[:cap(*p)]
	for {
		n, err := c.side.nc.Read(b)
		if n > 0 && !c.chew(b[:n]) {
			return false
		}
		if err != nil {
			c.lost(err)
			return false
		}
		if n < len(b) && c.in == nil {
			return true
		}
	}
}

// chew deals with bytes until all are taken. False: nothing more is to be read.
func (c *Conn) chew(b []byte) bool {
	for c.eat(b) {
		if b = c.takeRest(); len(b) == 0 {
			return true
		}
	}
	return false
}

// eat deals with bytes up to the next message, and waits until its callback has returned. What is left is in rest.
func (c *Conn) eat(b []byte) bool {
	if c.feed(b, true) == fedHanded {
		c.busy.Store(true)
		if c.side.turn == nil {
			c.side.turn = make(chan struct{}, 1)
		}
		c.hub.dispatch(c)
		<-c.side.turn // the worker gives it back when the callback returns
	}
	return !c.dead.Load()
}

// tryWrite writes what the socket takes without waiting.
func (p *portable) tryWrite(b []byte) (n int, err error) {
	if p.raw == nil {
		return 0, nil
	}
	t := tries.Get().(*try)
	t.b = b
	cerr := p.raw.Write(t.f)
	n, err = t.n, t.err
	t.b = nil
	tries.Put(t)
	if cerr != nil {
		return 0, cerr
	}
	return n, err
}

// cut closes the socket under TLS, which would write an alert first, for which it takes five seconds at most: who cuts a connection, as the sweep does, does
// not wait for a peer that takes nothing.
func (p *portable) cut() {
	if over, ok := p.nc.(*tls.Conn); ok {
		_ = over.NetConn().Close() // it is over, whatever this says
	}
}

// try is one write, with its function, so that a write allocates nothing.
type try struct {
	b   []byte
	n   int
	err error
	f   func(fd uintptr) bool
}

var tries = sync.Pool{New: func() any {
	t := new(try)
	t.f = func(fd uintptr) bool {
		t.n, t.err = writeFD(int32(fd), t.b) //nolint:gosec // a descriptor is small
		return true                          // never wait
	}
	return t
}}

// leftover copies what a buffered reader has.
func leftover(br *bufio.Reader) []byte {
	if br == nil || br.Buffered() == 0 {
		return nil
	}
	b, _ := br.Peek(br.Buffered())
	return append([]byte(nil), b...)
}
