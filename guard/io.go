package guard

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"herz.example/herz/conn"
)

// Read reads what the peer sent. A dead peer's last bytes are delivered before the error. What each failure returns stands
// in the package's documentation.
func (c *Conn) Read(b []byte) (int, error) {
	c.inIO.Add(1)
	if c.opt.ListenKeepAlive || c.sent.Load() != 0 {
		c.enlist()
	}
	n, err := c.inner.Read(b)
	c.inIO.Add(-1)
	if n > 0 {
		c.received(now())
	}
	if err != nil {
		err = c.failed("read", err, false)
	}
	return n, err
}

// Write sends b, unless the connection is known to be dead: then it sends nothing and returns 0 and a *DeadError, or an
// *AmbiguousError when bytes of the exchange left before.
func (c *Conn) Write(b []byte) (int, error) {
	at := now()
	if err := c.refuse(at); err != nil {
		return 0, err
	}
	if c.sniffed.Load() < tlsWrites {
		c.sniff(b)
	}
	c.leaving(int64(len(b)), at)
	n, err := c.inner.Write(b)
	c.left(int64(n), int64(len(b)))
	if err != nil {
		err = c.failed("write", err, n == 0 && c.pending.Load() == 0)
	}
	return n, err
}

// refuse decides whether a write may begin. It asks the kernel after silence, and believes the death flag before the first
// byte of a request; a write in the middle of one goes to the kernel, because the answer may be on its way.
func (c *Conn) refuse(at int64) error {
	if c.state.Load() == stateClosed || c.wroteShut.Load() {
		return nil // the connection's own error is the right one
	}
	if c.opt.ImplicitBegin && c.pending.Load() == 0 {
		c.reset()
	}
	silent := at-c.lastIO.Load() >= int64(c.opt.ProbeAfter)
	d := c.death.Load()
	if d == nil && silent {
		d = c.probe(at)
	}
	if d == nil || (!silent && c.pending.Load() > 0 && c.state.Load() == stateOpen) {
		return nil
	}
	if c.opt.Multiplexed {
		return c.opError("write", d)
	}
	if c.pending.Load() > 0 {
		return c.ambiguous(d, 0)
	}
	return c.dead(d)
}

// failed turns an error of the guarded connection into what the caller gets. nothing says that no byte of the request left.
func (c *Conn) failed(op string, err error, nothing bool) error {
	switch {
	case c.state.Load() == stateClosed:
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.deadline(op, err)
	case op == "write" && c.wroteShut.Load(), op == "read" && c.readShut.Load():
		return err
	}
	if taken := syscall.Errno(c.takenErr.Load()); taken != 0 && errors.Is(err, io.EOF) {
		err = &net.OpError{Op: op, Net: c.network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, taken)}
	}
	aborted := c.state.Load() == stateAborted
	d := c.died(err)
	switch {
	case c.opt.Multiplexed && aborted:
		return c.opError(op, d)
	case c.opt.Multiplexed:
		return err
	case nothing:
		return c.dead(d)
	case c.pending.Load() > 0, c.sent.Load() > 0 && (aborted || c.opt.EOFNeverClean):
		return c.ambiguous(d, errnoOf(err))
	case aborted:
		return c.dead(d)
	default:
		return err
	}
}

// deadline is no death: the connection may be used again by those who know how, unless bytes are unanswered.
func (c *Conn) deadline(op string, err error) error {
	if c.sent.Load() == 0 {
		return err
	}
	c.timedOut.Store(c.pending.Load() > 0)
	if !c.opt.AmbiguousDeadlines {
		return err
	}
	d := c.describe(conn.Timeout, 0, "")
	return &net.OpError{Op: op, Net: c.network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: &deadlineError{AmbiguousError{Death: d}}}
}

// died records the death that an error of the guarded connection tells of, unless it is known already.
func (c *Conn) died(err error) *conn.Death {
	errno := errnoOf(err)
	cause, detail := conn.Error, ""
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
		cause = conn.PeerFIN
	case isReset(errno):
		cause = conn.PeerRST
	case isTimeout(errno) && c.pending.Load() > 0 && !c.keptAlive():
		cause = conn.Unacked
	case isTimeout(errno):
		cause = conn.KeepAlive
	default:
		detail = err.Error()
	}
	return c.record(cause, errno, detail)
}

func errnoOf(err error) (errno syscall.Errno) {
	errors.As(err, &errno)
	return errno
}

func (c *Conn) network() string {
	if a := c.inner.LocalAddr(); a != nil {
		return a.Network()
	}
	return "guard"
}

// opError has the shape in which the net package reports a dead connection.
func (c *Conn) opError(op string, d *conn.Death) error {
	errno := d.Errno
	if errno == 0 {
		errno = syscall.ECONNRESET
	}
	return &net.OpError{Op: op, Net: c.network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, errno)}
}

// dead refuses, with the record of the death and the facts of the exchange as it is now.
func (c *Conn) dead(d *conn.Death) *DeadError {
	e := &DeadError{Death: c.facts(d), begun: c.begun.Load() || c.opt.ImplicitBegin}
	e.BytesSent = c.sent.Load()
	return e
}

// ambiguous reports the loss of an exchange. errno is what the kernel said to this call: after a FIN, which is the death
// that was recorded, it can be a reset.
func (c *Conn) ambiguous(d *conn.Death, errno syscall.Errno) error {
	e := &AmbiguousError{Death: c.facts(d)}
	if errno != 0 {
		e.Errno = errno
	}
	e.BytesSent, e.Phase = c.bytesSent(), c.phase()
	if c.opt.ReadError != nil {
		return c.opt.ReadError(e)
	}
	return e
}
