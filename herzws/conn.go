package herzws

import (
	"context"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unique"

	"github.com/gobwas/ws"

	"herz.example/herz/conn"
	"herz.example/herz/registry"
)

// Who has a connection of the epoll engine: its owner reads it, runs its callbacks and ends it. Only own and disown move it.
const (
	turnIdle  uint32 = iota
	turnOwned        // somebody has it
	turnAgain        // the same, and something has happened that he may not have seen
)

// Conn is a WebSocket. Servers give it to callbacks; a client keeps its own.
type Conn struct {
	hub    *hub
	side   *portable // nil: the epoll engine has it
	fd     int32     // of the epoll engine; -1 once it is closed. Written by the owner under mu
	slot   uint32
	class  unique.Handle[string]
	entry  *registry.Entry[string, device] // nil: the device has no name
	remote netip.AddrPort                  // of the epoll engine
	from   string                          // by which its failures are counted; empty: they are not

	seen atomic.Int64  // when the newest whole frame came, on the clock of the hub
	turn atomic.Uint32 // of the epoll engine
	busy atomic.Bool   // a callback has it, or it waits for one: it is not read
	part atomic.Bool   // a frame has begun that is not whole
	data atomic.Pointer[any]

	// Of the owner alone: who reads the connection, or runs its callback.
	in     *inbound
	rest   []byte // read and not looked at
	ready  event  // a message that waits for a worker; op 0: none
	ending bool   // OnClose waits for a worker
	heard  bool   // a whole frame came
	first  func() // is told of the first whole frame; nil: nobody asks

	// mu guards what follows, and the writing to a socket that does not block. Nothing under it waits or calls out of the package, and no lock is taken
	// under it.
	mu       sync.Mutex
	out      [][]byte // frames that wait
	outBytes int      // of them, and of those that the flusher has
	begun    bool     // of the first of them some bytes have left
	flushing bool     // portable: a goroutine writes
	sent     bool     // our Close frame is in the queue, or further
	got      bool     // the peer's Close frame came
	shut     bool     // the socket's writing side is closed, or is to be
	discard  bool     // what comes is dropped: the connection only waits for its end
	dead     bool     // it is to be closed now
	pinged   int64    // the value of seen for which a ping was sent
	closeBy  time.Duration
	drainAt  time.Duration // 0: it is not drained
	drain    Code
	why      *CloseError
	room     chan struct{} // closed when there is room again; nil: nobody waits
}

// buffers are for what is written at once, and for reading.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

// RemoteAddr is the peer's.
func (c *Conn) RemoteAddr() net.Addr {
	if c.side != nil {
		return c.side.nc.RemoteAddr()
	}
	return net.TCPAddrFromAddrPort(c.remote)
}

// Engine tells who waits for its bytes.
func (c *Conn) Engine() Engine {
	if c.side != nil {
		return Portable
	}
	return Epoll
}

// Device is the name of the device; empty: it has none.
func (c *Conn) Device() string {
	if c.entry == nil {
		return ""
	}
	return c.entry.Key()
}

// Class is what the switch knows it by.
func (c *Conn) Class() string { return c.class.Value() }

// SetData keeps something of the user's with the connection. It may be set again at any time.
func (c *Conn) SetData(v any) { c.data.Store(&v) }

// Data is what SetData was given last, or nil.
func (c *Conn) Data() any {
	if v := c.data.Load(); v != nil {
		return *v
	}
	return nil
}

// Silence is how long ago the newest whole frame came.
func (c *Conn) Silence() time.Duration { return c.hub.now() - time.Duration(c.seen.Load()) }

// Send sends a message, or puts it in the queue. Nil means accepted: unless the connection breaks, it is written, before the Close frame if the
// closing begins meanwhile. ErrClosed, ErrSlow and ErrUTF8 mean that nothing of it was or will be sent. Ctx matters under SlowWait only, where it
// bounds the wait for room. The payload is not kept.
func (c *Conn) Send(ctx context.Context, kind Kind, payload []byte) error {
	if kind == Text && !utf8.Valid(payload) {
		return ErrUTF8
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p := buffers.Get().(*[]byte)
	defer func() { *p = (*p)[:0]; putBuffer(p) }()
	*p = appendFrame(*p, ws.OpCode(kind), payload, c.hub.client)
	for {
		room, err := c.offer(*p)
		if room == nil {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// putBuffer keeps buffers of the usual size only.
func putBuffer(p *[]byte) {
	if cap(*p) <= 64<<10 {
		buffers.Put(p)
	}
}

// appendFrame appends a whole frame; that of a client is masked (RFC 6455, section 5.3).
func appendFrame(b []byte, op ws.OpCode, payload []byte, client bool) []byte {
	h := ws.Header{Fin: true, OpCode: op, Length: int64(len(payload))}
	if client {
		h.Masked, h.Mask = true, newMask()
	}
	b = appendHeader(b, h)
	at := len(b)
	b = append(b, payload...)
	if client {
		ws.Cipher(b[at:], h.Mask, 0)
	}
	return b
}

// offer writes a frame or queues it. Room is not nil when the caller has to wait for it.
func (c *Conn) offer(frame []byte) (room <-chan struct{}, err error) {
	c.mu.Lock()
	if c.sent || c.got || c.dead {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	if c.outBytes > 0 && c.outBytes+len(frame) > c.hub.queueBytes {
		switch c.hub.slow {
		case SlowWait:
			if c.room == nil {
				c.room = make(chan struct{})
			}
			room = c.room
			c.mu.Unlock()
			return room, nil
		case SlowDropOldest:
			if !c.dropLocked(len(frame)) {
				c.hub.counts.dropped.Add(1)
				c.mu.Unlock()
				return nil, ErrSlow
			}
		default:
			c.hub.counts.slow.Add(1)
			c.dropLocked(math.MaxInt / 2)
			c.closeLocked(CodePolicy, "it reads too slowly: its queue is full", conn.Evicted)
			c.mu.Unlock()
			c.after()
			return nil, ErrSlow
		}
	}
	c.hub.counts.sent.Add(1)
	c.writeLocked(frame)
	dead := c.dead
	c.mu.Unlock()
	if dead {
		c.after()
	}
	return nil, nil
}

// dropLocked drops messages that have not begun to leave, the oldest first, until there is room for n bytes more. It reports whether there is.
func (c *Conn) dropLocked(n int) bool {
	keep := c.out[:0]
	for i, f := range c.out {
		if (i == 0 && c.begun) || c.outBytes+n <= c.hub.queueBytes || ws.OpCode(f[0]&0x0f).IsControl() {
			keep = append(keep, f)
			continue
		}
		c.outBytes -= len(f)
		c.hub.counts.dropped.Add(1)
	}
	clear(c.out[len(keep):])
	c.out = keep
	return c.outBytes == 0 || c.outBytes+n <= c.hub.queueBytes
}

// Close begins to end the connection: what was accepted is written, then the Close frame, and the peer has Config.CloseTimeout to answer with its
// own. It does not wait for that; OnClose tells. A second call does nothing. A reason of more than 123 bytes is cut (RFC 6455, section 5.5).
// A code that may not be sent (section 7.4) is sent as 1000, and CodeNone as no code.
func (c *Conn) Close(code Code, reason string) {
	if code != CodeNone && closeBodyError(2, ws.StatusCode(code), "") != nil {
		code = CodeNormal
	}
	c.begin(code, reason, conn.Drained)
}

// begin begins to close.
func (c *Conn) begin(code Code, reason string, cause conn.Cause) {
	c.mu.Lock()
	c.closeLocked(code, reason, cause)
	c.mu.Unlock()
	c.after()
}

// closeLocked queues our Close frame, once.
func (c *Conn) closeLocked(code Code, reason string, cause conn.Cause) {
	if c.sent || c.dead {
		return
	}
	for len(reason) > ws.MaxControlFramePayloadSize-2 || !utf8.ValidString(reason) {
		reason = reason[:len(reason)-1]
	}
	if c.why == nil {
		c.why = &CloseError{Code: code, Reason: reason, Ours: true, Cause: cause}
	}
	c.sent = true
	c.closeBy = c.hub.now() + c.hub.closeTimeout
	var body []byte
	if code != CodeNone {
		body = ws.NewCloseFrameBody(ws.StatusCode(code), reason)
	}
	c.writeLocked(appendFrame(nil, ws.OpClose, body, c.hub.client))
	c.roomLocked()
}

// roomLocked wakes those who wait for room, also when there will never be any.
func (c *Conn) roomLocked() {
	if c.room != nil && (c.sent || c.got || c.dead || c.outBytes <= c.hub.queueBytes/2) {
		close(c.room)
		c.room = nil
	}
}

// control sends a ping or pong, unless the connection is closing, or so much waits already that the peer would not see it in time.
func (c *Conn) control(op ws.OpCode, payload []byte) {
	c.mu.Lock()
	if c.sent || c.dead || c.outBytes > c.hub.queueBytes+4096 {
		c.mu.Unlock()
		return
	}
	p := buffers.Get().(*[]byte)
	*p = appendFrame(*p, op, payload, c.hub.client)
	c.writeLocked(*p)
	*p = (*p)[:0]
	putBuffer(p)
	dead := c.dead
	c.mu.Unlock()
	if dead {
		c.after()
	}
}

// writeLocked writes a frame as far as that is possible at once, and queues the rest.
func (c *Conn) writeLocked(frame []byte) {
	if c.dead || c.shut {
		return
	}
	n := 0
	if len(c.out) == 0 && !c.flushing {
		var err error
		if n, err = c.tryWrite(frame); err != nil {
			c.failLocked(err, "write")
			return
		}
	}
	if n < len(frame) {
		c.out = append(c.out, append([]byte(nil), frame[n:]...))
		c.outBytes += len(frame) - n
		c.begun = c.begun || n > 0
	}
	if c.side != nil && len(c.out) > 0 && !c.flushing {
		c.flushing = true
		go c.flush()
	}
}

// tryWrite writes what the socket takes without waiting. It is called under mu.
func (c *Conn) tryWrite(b []byte) (int, error) {
	if c.side != nil {
		return c.side.tryWrite(b)
	}
	if c.fd < 0 {
		return 0, net.ErrClosed
	}
	return writeFD(c.fd, b)
}

// failLocked notes that the connection broke. The first reason counts.
func (c *Conn) failLocked(err error, phase string) {
	if c.why == nil {
		c.why = &CloseError{Code: CodeAbnormal, Reason: phase, Cause: causeOf(err), Err: err}
	}
	c.dead = true
	c.roomLocked()
}

// abort ends the connection at once.
func (c *Conn) abort(why *CloseError) {
	c.mu.Lock()
	if c.why == nil {
		c.why = why
	}
	c.dead = true
	c.roomLocked()
	c.mu.Unlock()
	c.after()
}

// closing reports whether its end has begun.
func (c *Conn) closing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent || c.got || c.dead
}

// after does what a change under mu asks for and must not be done under it.
func (c *Conn) after() {
	c.mu.Lock()
	c.finishLocked()
	dead, by, sent := c.dead, c.closeBy, c.sent
	c.mu.Unlock()
	switch {
	case dead && c.side != nil:
		_ = c.side.nc.Close() // its reader does the rest
	case dead:
		c.poke()
	case sent:
		c.hub.look(c, by)
	}
}

// finishLocked looks whether the closing has come further: both Close frames passed and all written.
func (c *Conn) finishLocked() {
	if !c.sent || len(c.out) > 0 || c.flushing || c.dead {
		return
	}
	if c.got && c.why != nil {
		c.why.Clean = true
	}
	if !c.got && !c.discard {
		return // the peer's Close frame is to come
	}
	if !c.hub.client && !c.discard {
		c.dead = true // the server closes first (RFC 6455, section 7.1.1)
	}
	if !c.shut && !c.hub.client {
		c.shut = true
		c.shutWrite()
	}
	c.discard = true
}

// shutWrite sends FIN. It is called under mu and does not wait.
func (c *Conn) shutWrite() {
	if c.side == nil {
		shutFD(c.fd)
		return
	}
	half, ok := c.side.nc.(interface{ CloseWrite() error })
	switch {
	case !ok || c.dead: // the close that follows says goodbye by itself
	case c.side.raw == nil:
		go func() { _ = half.CloseWrite() }() // of TLS it writes an alert, for which it takes five seconds at most
	default:
		_ = half.CloseWrite() // the peer may have ended it already
	}
}

// inspect is called by the sweep alone, when it is time, and says when it is time again.
func (c *Conn) inspect(now time.Duration) time.Duration {
	c.mu.Lock()
	switch {
	case c.dead:
		c.mu.Unlock()
		return now + time.Hour
	case c.sent || c.got:
		by := c.endBy()
		c.mu.Unlock()
		if now < by {
			return by
		}
		c.abort(&CloseError{Code: CodeAbnormal, Ours: true, Cause: conn.Drained, Reason: "the closing was not answered in time"})
		return now + time.Hour
	case c.drainAt > 0 && now >= c.drainAt:
		c.hub.counts.drained.Add(1)
		c.closeLocked(c.drain, drainWords(c.drain), conn.Drained)
		by := c.closeBy
		c.mu.Unlock()
		c.after()
		return by
	}
	drainAt, pinged := c.drainAt, c.pinged
	c.mu.Unlock()
	due := c.listen(now, pinged)
	if drainAt > 0 {
		due = min(due, drainAt)
	}
	return due
}

// slowest is how many times CloseTimeout a peer may take that goes on sending.
const slowest = 10

// endBy is when a closing connection is cut: its time counts anew with each frame and while a callback has it, so that what the peer sent before its
// Close frame is heard.
func (c *Conn) endBy() time.Duration {
	more := c.hub.closeTimeout
	if c.busy.Load() {
		return max(c.closeBy, c.hub.now()+more)
	}
	return min(max(c.closeBy, time.Duration(c.seen.Load())+more), c.closeBy+slowest*more)
}

// listen asks a silent peer, and ends one that did not answer. The sweep alone calls it, so that a deadline has one owner; and since seen only rises,
// it moves only later.
func (c *Conn) listen(now time.Duration, pinged int64) time.Duration {
	h := c.hub
	seen := c.seen.Load()
	last := time.Duration(seen)
	switch {
	case c.busy.Load(): // not read: what the peer said waits in the kernel
		return now + h.grace
	case now >= last+h.interval+h.grace:
		h.counts.timeouts.Add(1)
		why := &CloseError{Code: CodeAbnormal, Ours: true, Cause: conn.Heartbeat, Reason: "nothing was heard for " + (now - last).Round(time.Millisecond).String()}
		if c.part.Load() {
			h.counts.midFrame.Add(1)
			why.Reason = "mid_frame: a frame has begun and was not whole " + (now - last).Round(time.Millisecond).String() + " after the one before"
		}
		c.abort(why)
		return now + time.Hour
	case now >= last+h.interval:
		if pinged != seen {
			c.mu.Lock()
			c.pinged = seen
			c.mu.Unlock()
			h.counts.pings.Add(1)
			c.control(ws.OpPing, nil)
		}
		return min(last+h.interval+h.grace, now+h.interval) // when the answer has come it may be time for the next ping
	default:
		return last + h.interval
	}
}

// drainBy has the connection closed with code at that time, unless it is closing already.
func (c *Conn) drainBy(code Code, at time.Duration) {
	c.mu.Lock()
	if c.drainAt == 0 || at < c.drainAt {
		c.drainAt, c.drain = max(at, 1), code
	}
	c.mu.Unlock()
	c.hub.look(c, at)
}

// undrain takes that back, where it has not begun.
func (c *Conn) undrain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drainAt = 0
}

func drainWords(code Code) string {
	if code == CodeServiceRestart {
		return "the mode of keep-alive has changed: connect again"
	}
	return "the server is shutting down"
}
