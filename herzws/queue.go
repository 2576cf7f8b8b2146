package herzws

import (
	"github.com/gobwas/ws"
)

// frameCost is what a frame that waits takes beside its bytes: its place in the list, and what the allocator rounds up. Without it a frame of two bytes
// would cost many times what QueueBytes counts of it.
const frameCost = 48

// joined is how many bytes of small frames are written at once.
const joined = 16 << 10

// queue are the frames of a connection that wait until the peer takes more.
type queue struct {
	frames   [][]byte
	bytes    int           // of them, frameCost for each, and the bytes of those that the flusher has
	begun    bool          // of the first of them some bytes have left
	flushing bool          // portable: a goroutine writes
	room     chan struct{} // closed when there is room again; nil: nobody waits
}

// idle reports whether all is written. It is asked of nil too.
func (q *queue) idle() bool { return q == nil || len(q.frames) == 0 && !q.flushing }

// size is how many bytes wait. It is asked of nil too.
func (q *queue) size() int {
	if q == nil {
		return 0
	}
	return q.bytes
}

// queueLocked gives the queue there is to be.
func (c *Conn) queueLocked() *queue {
	if c.queue == nil {
		c.queue = new(queue)
	}
	return c.queue
}

// roomLocked wakes those who wait for room, also when there will never be any, and forgets a queue in which nothing is.
func (c *Conn) roomLocked() {
	q := c.queue
	if q == nil {
		return
	}
	if q.room != nil && (c.sent || c.got || c.dead.Load() || q.bytes <= c.hub.queueBytes/2) {
		close(q.room)
		q.room = nil
	}
	if q.idle() && q.bytes == 0 && q.room == nil {
		c.queue = nil
	}
}

// dropLocked drops messages that have not begun to leave, the oldest first, until there is room for n bytes more. It reports whether there is.
func (c *Conn) dropLocked(n int) bool {
	q := c.queueLocked()
	keep := q.frames[:0]
	for i, f := range q.frames {
		if (i == 0 && q.begun) || q.bytes+n <= c.hub.queueBytes || ws.OpCode(f[0]&0x0f).IsControl() {
			keep = append(keep, f)
			continue
		}
		q.bytes -= len(f) + frameCost
		c.hub.counts.dropped.Add(1)
	}
	clear(q.frames[len(keep):])
	q.frames = keep
	return q.bytes == 0 || q.bytes+n <= c.hub.queueBytes
}

// writeLocked writes a frame as far as that is possible at once, and queues the rest.
func (c *Conn) writeLocked(frame []byte) {
	if c.dead.Load() || c.shut {
		return
	}
	n := 0
	if c.queue.idle() {
		var err error
		if n, err = c.tryWrite(frame); err != nil {
			c.failLocked(err, "write")
			return
		}
		if n == len(frame) {
			return
		}
	}
	q := c.queueLocked()
	q.frames = append(q.frames, append([]byte(nil), frame[n:]...))
	q.bytes += len(frame) - n + frameCost
	q.begun = q.begun || n > 0
	if c.side != nil && !q.flushing {
		q.flushing = true
		go c.flush()
	}
}

// fewControls is how many bytes may wait before a ping or pong takes the place of another.
const fewControls = 4 << 10

// replaceLocked has a ping or pong take the place of one of its kind that waits behind all messages, when more than a little waits: of many pings the newest
// has to be answered only (RFC 6455, section 5.5.3), and a peer that asks and does not read must not fill its queue. Past QueueBytes no message is added, so
// that one of each kind is all that waits there beyond it. False: the frame is to wait behind the others.
func (c *Conn) replaceLocked(op ws.OpCode, frame []byte) bool {
	q := c.queue
	if q.size() < fewControls {
		return false
	}
	for i := len(q.frames) - 1; i > 0 || i == 0 && !q.begun; i-- {
		f := q.frames[i]
		switch other := ws.OpCode(f[0] & 0x0f); {
		case other == op:
			q.bytes += len(frame) - len(f)
			q.frames[i] = append(f[:0], frame...)
			return true
		case !other.IsControl():
			return false
		}
	}
	return false
}

// writable writes what waits, where a socket that does not block can take more.
func (c *Conn) writable() {
	c.mu.Lock()
	q := c.queue
	had := q != nil && len(q.frames) > 0
	if had {
		p := buffers.Get().(*[]byte)
		c.writeQueuedLocked(q, (*p)[:0])
		putBuffer(p)
	}
	c.roomLocked()
	c.mu.Unlock()
	if had {
		c.after()
	}
}

// writeQueuedLocked writes until nothing waits or the socket takes no more. Small frames go together, in buf: one write for each would hold everybody
// else of the epoll set up.
func (c *Conn) writeQueuedLocked(q *queue, buf []byte) {
	for len(q.frames) > 0 && !c.dead.Load() {
		b := q.join(buf)
		n, err := writeFD(c.fd, b)
		if err != nil {
			c.failLocked(err, "write")
			return
		}
		q.took(n)
		c.tookLocked(n)
		if n < len(b) {
			return
		}
	}
}

// tookLocked notes that the peer took n bytes of what waits, where that puts the end of the connection off.
func (c *Conn) tookLocked(n int) {
	if c.sent && n > 0 {
		c.leaveLocked().wrote = c.hub.now()
	}
}

// join gives the bytes that are written next: the first frame, or several small ones together, in buf.
func (q *queue) join(buf []byte) []byte {
	if len(q.frames) == 1 || len(q.frames[0])+len(q.frames[1]) > joined {
		return q.frames[0]
	}
	for _, f := range q.frames {
		if len(buf)+len(f) > joined {
			break
		}
		buf = append(buf, f...)
	}
	return buf
}

// took takes n bytes out that have left.
func (q *queue) took(n int) {
	whole := 0
	for _, f := range q.frames {
		if n < len(f) {
			break
		}
		n -= len(f)
		q.bytes -= len(f) + frameCost
		whole++
	}
	q.begun = n > 0 || q.begun && whole == 0
	if n > 0 {
		q.bytes -= n
		q.frames[whole] = q.frames[whole][n:]
	}
	q.frames = dropFirst(q.frames, whole)
}

// flush is a goroutine that writes what waits, and ends when nothing does.
func (c *Conn) flush() {
	p := buffers.Get().(*[]byte)
	defer putBuffer(p)
	for {
		b := c.chunk((*p)[:0])
		if len(b) == 0 {
			break
		}
		for rest := b; len(rest) > 0; {
			rest = rest[c.flushSome(rest[:min(len(rest), pieceBytes)]):]
		}
		*p = b[:0]
	}
	c.after()
}

// pieceBytes is how much is written at once, so that it is seen that a slow peer goes on taking.
const pieceBytes = 64 << 10

// flushSome writes a piece, and gives its length. It waits: the end of the connection ends it, and the sweep that of a connection whose peer takes nothing.
func (c *Conn) flushSome(piece []byte) int {
	n, err := c.side.nc.Write(piece)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue.bytes -= len(piece)
	c.tookLocked(n)
	if err != nil {
		c.failLocked(err, "write")
	}
	c.roomLocked()
	return len(piece)
}

// chunk takes frames out of the queue. None: the flusher ends.
func (c *Conn) chunk(b []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.queue // there is one while the flusher runs
	n := 0
	for ; n < len(q.frames) && !c.dead.Load() && (n == 0 || len(b)+len(q.frames[n]) <= pieceBytes); n++ {
		b = append(b, q.frames[n]...)
	}
	q.begun = false
	q.bytes -= n * frameCost
	q.frames = dropFirst(q.frames, n)
	if n == 0 {
		q.frames, q.bytes, q.flushing = nil, 0, false
		c.roomLocked()
	}
	return b
}

// dropFirst takes the first n frames out.
func dropFirst(out [][]byte, n int) [][]byte {
	clear(out[:n])
	if n == len(out) {
		return nil
	}
	return out[n:]
}
