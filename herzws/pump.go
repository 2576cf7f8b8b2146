package herzws

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"syscall"

	"github.com/gobwas/ws"

	"herz.example/herz/conn"
)

// fed is what became of bytes that were read.
type fed uint8

const (
	fedAll    fed = iota // all were taken
	fedHanded            // a message waits for a worker, who goes on with the rest
	fedOver              // nothing more is read
)

// feed takes bytes that were read, by the owner. Quick: he must not run callbacks himself.
func (c *Conn) feed(b []byte, quick bool) fed {
	if c.drops() {
		return fedAll
	}
	in := c.in
	if in == nil {
		in = inbounds.Get().(*inbound)
		*in = inbound{client: c.hub.client, limit: c.hub.maxMessage}
	}
	c.in = in
	defer c.tidy()
	for len(b) > 0 {
		e, rest, whole, err := in.next(b)
		b = rest
		if err != nil {
			c.violate(err)
			return fedAll
		}
		if !whole {
			return fedAll
		}
		c.seen.Store(int64(c.hub.now()))
		c.heard = true
		if f := c.first; f != nil {
			c.first = nil
			f()
		}
		switch {
		case e.op.IsControl():
			if c.take(e) {
				return fedAll // after the Close frame nothing counts (RFC 6455, section 5.5.1)
			}
		case e.op == ws.OpContinuation: // a fragment
		case c.hub.onMessage == nil:
			c.hub.counts.received.Add(1)
		case quick:
			if c.side == nil { // else its reader waits meanwhile, and keeps the buffer
				b = slices.Clone(b)
			}
			c.keep(b, e)
			return fedHanded
		default:
			c.deliver(e)
		}
	}
	return fedAll
}

// tidy gives the inbound back when nothing is begun.
func (c *Conn) tidy() {
	c.part.Store(c.in.midFrame())
	if c.in.rests() {
		in := c.in
		c.in = nil
		in.message = nil
		inbounds.Put(in)
	}
}

// deliver calls OnMessage.
func (c *Conn) deliver(e event) {
	c.hub.counts.received.Add(1)
	c.busy.Store(true)
	c.hub.onMessage(c, Kind(e.op), e.payload)
	c.seen.Store(int64(c.hub.now())) // it was not read meanwhile
	c.busy.Store(false)
}

// drops reports whether what comes is dropped: also after the peer's Close frame, while ours is not written yet (RFC 6455, section 5.5.1). The owner asks.
func (c *Conn) drops() bool { return c.got || c.discard.Load() || c.dead.Load() }

// take deals with a control frame. Last: it was a Close frame.
func (c *Conn) take(e event) (last bool) {
	switch e.op {
	case ws.OpPing:
		c.control(ws.OpPong, e.payload)
	case ws.OpClose:
		c.peerClosed(e.payload)
		return true
	default: // a pong, asked for or not (RFC 6455, section 5.5.3)
	}
	return false
}

// peerClosed answers the peer's Close frame with its own code (RFC 6455, section 5.5.1).
func (c *Conn) peerClosed(body []byte) {
	code, reason := CodeNone, ""
	if len(body) > 0 {
		status, text := ws.ParseCloseFrameData(body)
		if err := closeBodyError(len(body), status, text); err != nil {
			c.violate(err)
			return
		}
		code, reason = Code(status), text
	}
	c.mu.Lock()
	c.got = true
	if c.why == nil {
		c.why = &CloseError{Code: code, Reason: reason, Cause: conn.PeerFIN}
	}
	c.closeLocked(code, "", conn.PeerFIN)
	c.mu.Unlock()
	c.after()
}

// closeBodyError holds the body of a Close frame against the rules. Codes 1012 to 1014 were registered after the RFC.
func closeBodyError(n int, status ws.StatusCode, text string) error {
	switch {
	case n == 1:
		return &violation{CodeProtocol, "a Close frame has one byte of a code (RFC 6455, section 5.5.1)"}
	case status == 1005 || status == 1006 || status == 1015:
		return &violation{CodeProtocol, "a Close frame has a code that is never sent (RFC 6455, section 7.4.1)"}
	case status >= 1012 && status <= 1014:
		status = ws.StatusNormalClosure
	case status >= 5000:
		return &violation{CodeProtocol, "a Close frame has a code that there is not (RFC 6455, section 7.4.2)"}
	}
	switch err := ws.CheckCloseFrameData(status, text); {
	case err == nil:
		return nil
	case errors.Is(err, ws.ErrProtocolInvalidUTF8):
		return &violation{CodeInvalidPayload, "the reason of a Close frame is not UTF-8 (RFC 6455, section 5.5.1)"}
	default:
		return &violation{CodeProtocol, err.Error() + " (RFC 6455, section 7.4)"}
	}
}

// violate fails the connection: our Close frame, then FIN, and what still comes is dropped until the peer ends it too, so that no reset overtakes the
// Close frame (RFC 6455, section 7.1.7).
func (c *Conn) violate(err error) {
	var v *violation
	if !errors.As(err, &v) {
		v = &violation{CodeProtocol, err.Error()}
	}
	c.hub.counts.violations.Add(1)
	c.mu.Lock()
	c.why = &CloseError{Code: v.code, Reason: v.what, Ours: true, Cause: conn.Misuse}
	c.closeLocked(v.code, v.what, conn.Misuse)
	c.discard.Store(true)
	c.mu.Unlock()
	c.after()
}

// lost is called by the owner when reading failed or came to its end.
func (c *Conn) lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == nil {
		c.failLocked(err, c.phase())
	}
	c.dead.Store(true)
	c.roomLocked()
}

func (c *Conn) phase() string {
	if c.part.Load() {
		return "mid_frame"
	}
	return "no Close frame came"
}

// causeOf tells in the words of package conn why a read or write failed.
func causeOf(err error) conn.Cause {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return conn.PeerFIN
	case errors.Is(err, syscall.ECONNRESET):
		return conn.PeerRST
	case errors.Is(err, syscall.ETIMEDOUT):
		return conn.KeepAlive
	case errors.Is(err, net.ErrClosed):
		return conn.Drained
	default:
		return conn.Error
	}
}

// end is called once, by the owner, after the socket is closed.
func (c *Conn) end() {
	c.mu.Lock()
	why := c.why
	if why == nil {
		why = &CloseError{Code: CodeAbnormal, Cause: conn.Error, Reason: "it ended without a reason"}
	}
	c.why = why
	if q := c.queue; q != nil && !q.flushing { // the flusher drops it itself
		c.queue = nil
	}
	c.mu.Unlock()
	c.in = nil
	c.hub.ended(c, why)
	if c.hub.onClose != nil {
		c.ending = true
		c.hub.dispatch(c)
	}
	c.hub.remove(c) // last: who waits until nobody is left then waits for the callbacks
}

// run is called by a worker, who owns the connection meanwhile.
func (c *Conn) run() {
	if c.ending {
		c.hub.onClose(c, c.why)
		return
	}
	if e := c.takeReady(); e.op != 0 {
		c.deliver(e)
	} else {
		c.seen.Store(int64(c.hub.now())) // it was not read while it waited for its turn
	}
	c.busy.Store(false)
	if c.side != nil {
		c.side.turn <- struct{}{}
		return
	}
	p := buffers.Get().(*[]byte)
	c.pump((*p)[:cap(*p)], false, true)
	putBuffer(p)
}

// appendHeader appends the header of a frame.
func appendHeader(b []byte, h ws.Header) []byte {
	first, mask := byte(h.OpCode), byte(0)
	if h.Fin {
		first |= 0x80
	}
	if h.Masked {
		mask = 0x80
	}
	switch n := h.Length; {
	case n <= 125:
		b = append(b, first, mask|byte(n))
	case n <= 1<<16-1:
		b = append(b, first, mask|126)
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b = append(b, first, mask|127)
		b = binary.BigEndian.AppendUint64(b, uint64(n)) //nolint:gosec // a length is not negative
	}
	if h.Masked {
		b = append(b, h.Mask[:]...)
	}
	return b
}

// newMask is unpredictable (RFC 6455, section 5.3): the generator of math/rand/v2 is ChaCha8, seeded by the system.
func newMask() (m [4]byte) {
	binary.NativeEndian.PutUint32(m[:], rand.Uint32()) //nolint:gosec // see above
	return m
}
