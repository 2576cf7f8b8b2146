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

// Conn is a WebSocket. Servers give it to callbacks; a client keeps its own. A server has many that rest: what only some of them need stands behind
// pointers that are nil at rest.
type Conn struct {
	hub    *hub
	side   *portable // nil: the epoll engine has it
	fd     int32     // of the epoll engine; -1 once it is closed. Written by the owner under mu
	slot   uint32
	class  unique.Handle[string]
	entry  atomic.Pointer[registry.Entry[string, device]] // nil: the device has no name. Others find the connection by it before it is set here
	from   string                                         // its address, by which its failures are counted; empty: they are not
	remote netip.Addr                                     // of the epoll engine
	port   uint16

	// Of the owner alone: who reads the connection, or runs its callback.
	ending bool          // OnClose waits for a worker
	heard  bool          // a whole frame came
	turn   atomic.Uint32 // who the owner is, in the epoll engine
	in     *inbound
	held   *held  // nil: nothing is
	first  func() // is told of the first whole frame; nil: nobody asks

	pinged int64 // of the sweep alone: the value of seen for which a ping was sent

	seen atomic.Int64 // when the newest whole frame came, on the clock of the hub
	busy atomic.Bool  // a callback has it, or it waits for one: it is not read
	part atomic.Bool  // a frame has begun that is not whole
	data atomic.Pointer[any]

	// Written under mu. Read without it where a lock would make the reader wait for a write.
	dead    atomic.Bool // it is to be closed now
	discard atomic.Bool // what comes is dropped: the connection only waits for its end

	// mu guards what follows, and the writing to a socket that does not block. Nothing under it waits or calls out of the package, and no lock is taken
	// under it.
	mu    sync.Mutex
	sent  bool     // our Close frame is in the queue, or further
	got   bool     // the peer's Close frame came. Written by the owner alone, who reads it without mu
	shut  bool     // the socket's writing side is closed, or is to be
	queue *queue   // nil: nothing waits
	leave *leaving // nil: it stays
	why   *CloseError
}

// leaveLocked gives the times of the end there is to be.
func (c *Conn) leaveLocked() *leaving {
	if c.leave == nil {
		c.leave = new(leaving)
	}
	return c.leave
}

// timesLocked are those times, zero while there is to be none.
func (c *Conn) timesLocked() leaving {
	if c.leave == nil {
		return leaving{}
	}
	return *c.leave
}

// held is what an owner has read of a connection and nobody has dealt with.
type held struct {
	rest  []byte // not looked at
	ready event  // a message that waits for a worker; op 0: none
}

// leaving are the times of a connection's end.
type leaving struct {
	closeBy time.Duration // 0: no Close frame was sent
	wrote   time.Duration // when the peer took something of what waits for the last time; 0: it did not
	drainAt time.Duration // 0: it is not drained
	drain   Code
}

// keep has what was read wait.
func (c *Conn) keep(rest []byte, ready event) {
	if len(rest) > 0 || ready.op != 0 {
		c.held = &held{rest, ready}
	}
}

// takeRest gives what was read and not looked at.
func (c *Conn) takeRest() []byte {
	if c.held == nil {
		return nil
	}
	rest := c.held.rest
	c.held = nil
	return rest
}

// takeReady gives the message that waits for a worker.
func (c *Conn) takeReady() event {
	if c.held == nil {
		return event{}
	}
	ready := c.held.ready
	c.held.ready = event{}
	return ready
}

// buffers are for what is written at once, and for reading.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

// RemoteAddr is the peer's.
func (c *Conn) RemoteAddr() net.Addr {
	if c.side != nil {
		return c.side.nc.RemoteAddr()
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.remote, c.port))
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
	if e := c.entry.Load(); e != nil {
		return e.Key()
	}
	return ""
}

// Class is what the switch knows it by.
func (c *Conn) Class() string { return c.class.Value() }

// begin begins to read; early is what was read already. The owner calls it once.
func (c *Conn) begin(early []byte) {
	c.seen.Store(int64(c.hub.now())) // it was not read meanwhile
	c.busy.Store(false)
	if c.side != nil {
		go c.read(early)
		return
	}
	c.watch(early)
}

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
	if c.sent || c.got || c.dead.Load() {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	need := len(frame)
	if need > c.hub.queueBytes { // one such message may wait, however great, behind half of what may wait otherwise
		need = c.hub.queueBytes / 2
	}
	if size := c.queue.size(); size > 0 && size+need > c.hub.queueBytes {
		switch c.hub.slow {
		case SlowWait:
			if c.queue.room == nil {
				c.queue.room = make(chan struct{})
			}
			room = c.queue.room
			c.mu.Unlock()
			return room, nil
		case SlowDropOldest:
			if !c.dropLocked(need) {
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
	c.mu.Unlock()
	if c.dead.Load() {
		c.after()
	}
	return nil, nil
}

// Close begins to end the connection: what was accepted is written, then the Close frame, and the peer has Config.CloseTimeout to answer with its
// own. It does not wait for that; OnClose tells. A second call does nothing. A reason of more than 123 bytes is cut (RFC 6455, section 5.5).
// A code that may not be sent (section 7.4) is sent as 1000, and CodeNone as no code.
func (c *Conn) Close(code Code, reason string) {
	if code != CodeNone && closeBodyError(2, ws.StatusCode(code), "") != nil {
		code = CodeNormal
	}
	c.beginEnd(code, reason, conn.Drained)
}

// beginEnd begins to close.
func (c *Conn) beginEnd(code Code, reason string, cause conn.Cause) {
	c.mu.Lock()
	c.closeLocked(code, reason, cause)
	c.mu.Unlock()
	c.after()
}

// closeLocked queues our Close frame, once.
func (c *Conn) closeLocked(code Code, reason string, cause conn.Cause) {
	if c.sent || c.dead.Load() {
		return
	}
	for len(reason) > ws.MaxControlFramePayloadSize-2 || !utf8.ValidString(reason) {
		reason = reason[:len(reason)-1]
	}
	if c.why == nil {
		c.why = &CloseError{Code: code, Reason: reason, Ours: true, Cause: cause}
	}
	c.sent = true
	c.leaveLocked().closeBy = c.hub.now() + c.hub.closeTimeout
	var body []byte
	if code != CodeNone {
		body = ws.NewCloseFrameBody(ws.StatusCode(code), reason)
	}
	c.writeLocked(appendFrame(nil, ws.OpClose, body, c.hub.client))
	c.roomLocked()
}

// control sends a ping or pong, unless the connection is closing. It waits behind the messages there are, however great: a peer that reads them is alive,
// and has to be asked and answered when it comes so far. Where more than a little waits, it takes the place of the one of its kind before it.
func (c *Conn) control(op ws.OpCode, payload []byte) {
	c.mu.Lock()
	if c.sent || c.dead.Load() {
		c.mu.Unlock()
		return
	}
	p := buffers.Get().(*[]byte)
	*p = appendFrame(*p, op, payload, c.hub.client)
	if !c.replaceLocked(op, *p) {
		c.writeLocked(*p)
	}
	*p = (*p)[:0]
	putBuffer(p)
	c.mu.Unlock()
	if c.dead.Load() {
		c.after()
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
	c.dead.Store(true)
	c.roomLocked()
}

// abort ends the connection at once.
func (c *Conn) abort(why *CloseError) {
	c.mu.Lock()
	if c.why == nil {
		c.why = why
	}
	c.dead.Store(true)
	c.roomLocked()
	c.mu.Unlock()
	if c.side != nil {
		c.side.cut()
	}
	c.after()
}

// closing reports whether its end has begun.
func (c *Conn) closing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent || c.got || c.dead.Load()
}

// after does what a change under mu asks for and must not be done under it.
func (c *Conn) after() {
	c.mu.Lock()
	c.finishLocked()
	dead, by, sent := c.dead.Load(), c.timesLocked().closeBy, c.sent
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
	if !c.sent || !c.queue.idle() || c.dead.Load() {
		return
	}
	if c.got && c.why != nil {
		c.why.Clean = true
	}
	discards := c.discard.Load()
	if !c.got && !discards {
		return // the peer's Close frame is to come
	}
	if !c.hub.client && !discards {
		c.dead.Store(true) // the server closes first (RFC 6455, section 7.1.1)
	}
	if !c.shut && !c.hub.client {
		c.shut = true
		c.shutWrite()
	}
	c.discard.Store(true)
}

// shutWrite sends FIN. It is called under mu and does not wait.
func (c *Conn) shutWrite() {
	if c.side == nil {
		shutFD(c.fd)
		return
	}
	half, ok := c.side.nc.(interface{ CloseWrite() error })
	switch {
	case !ok || c.dead.Load(): // the close that follows says goodbye by itself
	case c.side.raw == nil:
		go func() { _ = half.CloseWrite() }() // of TLS it writes an alert, for which it takes five seconds at most
	default:
		_ = half.CloseWrite() // the peer may have ended it already
	}
}

// look is called by the sweep alone, when it is time, and says when it is time again. Late: nobody was read or asked for a while, so that the silence does
// not count. Who stays is asked now and has the whole grace, who is closing has the time of closing again.
func (c *Conn) look(now time.Duration, late bool) time.Duration {
	switch {
	case !late:
	case c.closing():
		return now + c.hub.closeTimeout
	default:
		c.notBefore(now - c.hub.interval)
	}
	return c.inspect(now)
}

// notBefore has the newest frame count as no older than that.
func (c *Conn) notBefore(at time.Duration) {
	for seen := c.seen.Load(); seen < int64(at); seen = c.seen.Load() {
		if c.seen.CompareAndSwap(seen, int64(at)) {
			return
		}
	}
}

// inspect is called by the sweep alone, when it is time, and says when it is time again.
func (c *Conn) inspect(now time.Duration) time.Duration {
	if c.dead.Load() {
		return now + time.Hour
	}
	c.mu.Lock()
	leave := c.timesLocked()
	switch {
	case c.sent || c.got:
		c.mu.Unlock()
		by := c.endBy(leave)
		if now < by {
			return by
		}
		c.abort(&CloseError{Code: CodeAbnormal, Ours: true, Cause: conn.Drained, Reason: "the closing was not answered in time"})
		return now + time.Hour
	case leave.drainAt > 0 && now >= leave.drainAt:
		c.hub.counts.drained.Add(1)
		c.closeLocked(leave.drain, drainWords(leave.drain), conn.Drained)
		by := c.timesLocked().closeBy
		c.mu.Unlock()
		c.after()
		return by
	}
	c.mu.Unlock()
	due := c.listen(now)
	if leave.drainAt > 0 {
		due = min(due, leave.drainAt)
	}
	return due
}

// slowest is how many times CloseTimeout a peer may take that goes on sending.
const slowest = 10

// endBy is when a closing connection is cut: its time counts anew with each frame, with each piece that the peer takes of what waits for it, and while a
// callback has it, so that what the peer sent before its Close frame is heard, and what Send accepted is written.
func (c *Conn) endBy(l leaving) time.Duration {
	more := c.hub.closeTimeout
	if c.busy.Load() {
		return max(l.closeBy, c.hub.now()+more)
	}
	return min(max(l.closeBy, time.Duration(c.seen.Load())+more, l.wrote+more), l.closeBy+slowest*more)
}

// listen asks a silent peer, and ends one that did not answer. The sweep alone calls it, so that a deadline has one owner; and since seen only rises,
// it moves only later.
func (c *Conn) listen(now time.Duration) time.Duration {
	h := c.hub
	busy := c.busy.Load() // before seen, which is written before the callback is over
	seen := c.seen.Load()
	last := time.Duration(seen)
	switch {
	case busy: // not read: what the peer said waits in the kernel
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
	case now >= last+h.interval-h.early():
		if c.pinged != seen {
			c.pinged = seen
			h.counts.pings.Add(1)
			c.control(ws.OpPing, nil)
		}
		return min(last+h.interval+h.grace, now+h.interval) // when the answer has come it is time for the next ping
	default:
		return last + h.interval
	}
}

// drainBy has the connection closed with code at that time, unless it is closing already.
func (c *Conn) drainBy(code Code, at time.Duration) {
	c.mu.Lock()
	if l := c.leaveLocked(); l.drainAt == 0 || at < l.drainAt {
		l.drainAt, l.drain = max(at, 1), code
	}
	c.mu.Unlock()
	c.hub.look(c, at)
}

// undrain takes a flip of the switch back, where it has not begun. Shutdown is not taken back.
func (c *Conn) undrain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leave != nil && c.leave.drain == CodeServiceRestart {
		c.leave.drainAt = 0
	}
}

func drainWords(code Code) string {
	if code == CodeServiceRestart {
		return "the mode of keep-alive has changed: connect again"
	}
	return "the server is shutting down"
}
