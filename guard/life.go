package guard

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/internal/sys"
)

// Bounds of a graceful close: how long and for how many bytes the peer may go on speaking.
const (
	drainTime  = time.Second
	drainBytes = 1 << 20
)

// Dead reports whether the connection is known to have ended. It costs one atomic load and asks nobody.
func (c *Conn) Dead() bool { return c.death.Load() != nil }

// Death gives the record of how the connection ended; false while it is not known to have ended.
func (c *Conn) Death() (conn.Death, bool) {
	if d := c.death.Load(); d != nil {
		return c.facts(d), true
	}
	return conn.Death{}, false
}

// facts is a copy of d with the name of the pool, which may have been given after the death.
func (c *Conn) facts(d *conn.Death) conn.Death {
	f := *d
	if p := c.pool.Load(); p != nil && f.Pool == "" {
		f.Pool = *p
	}
	return f
}

// Condemn says that the connection must not be lent again. Alive reports it from now on; reads and writes of whoever has
// the connection go on. The first cause stays.
func (c *Conn) Condemn(cause conn.Cause) { c.condemned.CompareAndSwap(0, uint32(cause)) }

// Retire is Condemn by an owner who says goodbye next, and then closes: with what the peer answers to that, a FIN or a RST, it does not die of
// a cause of its own.
func (c *Conn) Retire(cause conn.Cause) {
	c.Condemn(cause)
	c.retired.Store(true)
}

// condemn is Condemn with a sentence that the record of the death is to have.
func (c *Conn) condemn(cause conn.Cause, detail string) {
	if c.condemned.Load() == 0 {
		c.condemner.CompareAndSwap(nil, &detail)
	}
	c.Condemn(cause)
}

// sentence is what was said when the connection was condemned.
func (c *Conn) sentence() string {
	if s := c.condemner.Load(); s != nil {
		return *s
	}
	return ""
}

// Condemned gives the cause given to Condemn.
func (c *Conn) Condemned() (conn.Cause, bool) {
	cause := conn.Cause(c.condemned.Load())
	return cause, cause != conn.None
}

// OnDeath has f called when the connection ends, for whatever reason, our own close included; at once when it has ended
// already. There is one f: a new one takes the place of the old, nil removes it, and it is called once. It is called with
// no lock held, on the goroutine of the watcher or the sweep, or on that of the call that found the death, after its input
// or output was over. It must be quick: other deaths wait meanwhile.
func (c *Conn) OnDeath(f func(conn.Death)) {
	if f == nil {
		c.onDeath.Store(nil)
		return
	}
	c.onDeath.Store(&f)
	if d := c.death.Load(); d != nil {
		c.tell(d)
	}
}

func (c *Conn) tell(d *conn.Death) {
	if f := c.onDeath.Swap(nil); f != nil {
		(*f)(c.facts(d))
	}
}

// describe gives the facts of the connection as they are now.
func (c *Conn) describe(cause conn.Cause, errno syscall.Errno, detail string) conn.Death {
	at := now()
	d := conn.Death{
		ID: c.id, Peer: c.peer, Cause: cause, Errno: errno, Detail: detail,
		Age: time.Duration(at - c.born), Idle: time.Duration(at - c.lastIO.Load()),
		Phase: c.phase(), BytesSent: c.bytesSent(),
	}
	if p := c.pool.Load(); p != nil {
		d.Pool = *p
	}
	return d
}

// record keeps the first death and tells of it. It returns the one that is kept.
func (c *Conn) record(cause conn.Cause, errno syscall.Errno, detail string) *conn.Death {
	d := c.keep(cause, errno, detail)
	c.tell(d)
	return d
}

// keep is record without telling: for those who have to close the connection first.
func (c *Conn) keep(cause conn.Cause, errno syscall.Errno, detail string) *conn.Death {
	if d := c.death.Load(); d != nil {
		return d
	}
	if c.retired.Load() && (cause == conn.PeerFIN || cause == conn.PeerRST) {
		cause, detail = c.closeCause()
		errno = 0
	}
	d := c.describe(cause, errno, detail)
	if !c.death.CompareAndSwap(nil, &d) {
		return c.death.Load()
	}
	return &d
}

// Close closes the connection. Unread bytes are thrown away first, so that the peer sees a FIN and not a RST. The cause of death
// is that of Condemn; without one, Timeout when a deadline cut the exchange short, else Drained.
func (c *Conn) Close() error {
	if !c.state.CompareAndSwap(stateOpen, stateClosed) {
		if c.state.CompareAndSwap(stateAborted, stateClosed) {
			return nil
		}
		return c.inner.Close()
	}
	c.leave()
	cause, detail := c.closeCause()
	d := c.keep(cause, 0, detail)
	defer c.tell(d)
	if c.raw != nil && !c.hardClose.Load() {
		_ = c.raw.Control(func(fd uintptr) { sys.Discard(fd, drainBytes) })
	}
	return c.inner.Close()
}

func (c *Conn) closeCause() (conn.Cause, string) {
	if cause, ok := c.Condemned(); ok {
		return cause, c.sentence()
	}
	switch {
	case c.timedOut.Load():
		return conn.Timeout, "closed by its owner after a deadline ran out"
	default:
		return conn.Drained, "closed by its owner"
	}
}

// Abort ends the connection at once, with a RST where there is one. Whoever reads or writes gets an error that carries cause.
func (c *Conn) Abort(cause conn.Cause) { c.abort(cause, 0, c.silence(cause)) }

// silence says what the kernel knows of a peer that did not answer a ping: whether its host still acknowledges.
func (c *Conn) silence(cause conn.Cause) string {
	if cause != conn.Heartbeat || c.pending.Load() == 0 {
		return ""
	}
	switch info, ok := c.info(); {
	case !ok:
		return ""
	case info.Unacked > 0:
		return "not even its kernel acknowledged what was asked: the path or the host is lost"
	default:
		return "its kernel acknowledged what was asked: the path is there, the process does not answer"
	}
}

func (c *Conn) abort(cause conn.Cause, errno syscall.Errno, detail string) {
	if !c.state.CompareAndSwap(stateOpen, stateAborted) {
		return
	}
	c.leave()
	d := c.keep(cause, errno, detail)
	defer c.tell(d)
	if l, ok := c.socket.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
	if c.socket != nil {
		_ = c.socket.Close() // first, because a *tls.Conn above it would try for 5 s to say goodbye
	}
	_ = c.inner.Close()
}

// Shutdown is the planned close: it closes the sending side, reads until the peer has closed its own, and closes. It waits no longer
// than ctx and a second, and for no more than 1 MiB; the peer sees a FIN in every case but that of more bytes than that, which is
// an error. The cause of death is that of Condemn, else Drained.
func (c *Conn) Shutdown(ctx context.Context) error {
	if !c.state.CompareAndSwap(stateOpen, stateClosed) {
		return nil
	}
	c.leave()
	gone := c.Dead()
	cause, detail := c.closeCause()
	d := c.keep(cause, 0, detail)
	defer c.tell(d)
	half, ok := c.inner.(interface{ CloseWrite() error })
	if gone || !ok || half.CloseWrite() != nil {
		return c.inner.Close()
	}
	over := c.drain(ctx)
	return errors.Join(over, c.inner.Close())
}

// drain reads until the peer closes, and not beyond the bounds of Shutdown.
func (c *Conn) drain(ctx context.Context) error {
	if err := c.inner.SetReadDeadline(time.Now().Add(drainTime)); err != nil {
		return nil // it is closed already; the close tells
	}
	stop := context.AfterFunc(ctx, func() { _ = c.inner.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var scratch [4096]byte
	for total := 0; total < drainBytes; {
		n, err := c.inner.Read(scratch[:])
		if total += n; err != nil {
			return nil // the end of the stream, or of the time, is how a drain ends
		}
	}
	return fmt.Errorf("herz/guard: shutdown of connection #%d to %s: the peer sent more than %d bytes after our end was closed: it sees a reset",
		c.id, c.peer, drainBytes)
}

// leave takes the connection out of everything that could look at it. It comes before the close of the descriptor.
func (c *Conn) leave() {
	c.cleanup.Stop()
	c.seat.leave(c.self)
	if c.holds {
		_ = c.raw.Control(removeFromWatch)
		releaseWatcher()
	}
	if c.enlisted.Load() {
		c.delist()
	}
	if k := c.name.Load(); k != nil {
		names.remove(c.self, *k)
	}
}
