package guard

import (
	"cmp"
	"fmt"
	"syscall"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/internal/sys"
)

// infoAfter is the silence after which TCP_INFO is asked as well: it alone sees a connection that somebody half-closed
// behind our back (FIN_WAIT_2), and costs as much again as poll.
const infoAfter = time.Second

// manyRetransmits tells a kernel that gave up on data in flight from a RST that answered a retransmission. Kernels give up
// after 15 (tcp_retries2), RFC 1122 allows no fewer than 8.
const manyRetransmits = 8

// lastWords is how much of what the peer said before it left is kept in Death.Detail.
const lastWords = 120

// Alive reports whether the connection may be lent: nil, or a *DeadError. It reads the death flag, and asks the kernel
// when ProbeAfter of silence in both directions has passed. A connection that is condemned is not alive in this sense. It does not
// see a peer that is gone without a word: only traffic does. Call Begin first: the error tells SafeToRetry of the exchange.
func (c *Conn) Alive() error {
	if d := c.death.Load(); d != nil {
		return c.dead(d)
	}
	if cause, ok := c.Condemned(); ok {
		d := c.describe(cause, 0, cmp.Or(c.sentence(), "condemned"))
		return c.dead(&d)
	}
	if c.raw == nil && !c.wroteShut.Load() {
		return nil
	}
	at := now()
	if at-c.lastIO.Load() < int64(c.opt.ProbeAfter) && !c.wroteShut.Load() {
		return nil
	}
	d := c.probe(at)
	if d == nil && c.opt.ReplyOnly {
		d = c.unasked()
	}
	if d != nil {
		return c.dead(d)
	}
	return nil
}

// unasked records the death of a connection in whose socket the newest poll saw bytes that answer nothing.
func (c *Conn) unasked() *conn.Death {
	c.probeMu.Lock()
	bits := c.pollBits
	c.probeMu.Unlock()
	if bits&sys.In == 0 || c.pending.Load() > 0 {
		return nil
	}
	return c.record(conn.Error, 0, "bytes came that nobody had asked for: they may be a late answer")
}

// probe asks the kernel and records a death that it finds.
func (c *Conn) probe(at int64) *conn.Death {
	if c.wroteShut.Load() {
		return c.record(conn.Misuse, 0, "our sending side is closed (FIN_WAIT_2): no request can be sent any more")
	}
	if c.raw == nil {
		return nil
	}
	c.probeMu.Lock()
	c.pollBits = 0
	err := c.raw.Control(c.pollFD)
	bits := c.pollBits
	due := at-max(c.lastIO.Load(), c.lastInfo) >= int64(infoAfter)
	if due {
		c.lastInfo = at
	}
	c.probeMu.Unlock()
	switch {
	case err != nil && c.state.Load() == stateOpen:
		return c.record(conn.Misuse, 0, "its descriptor was closed behind the guard")
	case err != nil:
		return c.death.Load()
	case bits&sys.Gone != 0:
		return c.gone(bits)
	case due && c.kind.TCP:
		return c.halfClosed()
	default:
		return nil
	}
}

// halfClosed looks for the states that poll does not see.
func (c *Conn) halfClosed() *conn.Death {
	info, ok := c.info()
	if !ok || (info.State != sys.FinWait1 && info.State != sys.FinWait2) {
		return nil
	}
	return c.record(conn.Misuse, 0, "our sending side is closed (FIN_WAIT_2): no request can be sent any more")
}

// gone records the death that the kernel reports by bits, with the cause that TCP_INFO tells: to ask for the error itself
// would take it away from the next read. It is nil when the bits come from our own CloseRead.
func (c *Conn) gone(bits sys.Ready) *conn.Death {
	if d := c.death.Load(); d != nil {
		return d
	}
	info, tcp := c.info()
	// A FIN of the peer alone leaves the socket open. Where it is closed and we did not do that, it failed, and the call that is under way has taken the error.
	failed := bits&sys.Err != 0 || tcp && info.State == sys.Closed && !c.wroteShut.Load()
	switch {
	case bits&sys.Invalid != 0:
		return c.record(conn.Misuse, 0, "its descriptor was closed behind the guard")
	case bits&sys.Err != 0 && bits&(sys.Hup|sys.ReadHup) == 0:
		return nil // only the socket's error queue has something to say
	case failed && tcp && info.Probes > 0 && info.Probes >= c.probesAllowed():
		return c.record(conn.KeepAlive, syscall.ETIMEDOUT, fmt.Sprintf("%d probes without an answer, the last sign of life %v ago", info.Probes, info.AckAge))
	case failed && tcp && info.Retransmits >= manyRetransmits:
		return c.record(conn.Unacked, syscall.ETIMEDOUT, fmt.Sprintf("%d retransmissions, the last acknowledgement %v ago", info.Retransmits, info.AckAge))
	case failed:
		return c.record(conn.PeerRST, syscall.ECONNRESET, "")
	case c.readShut.Load() && (!tcp || info.State != sys.CloseWait && info.State != sys.Closed):
		return nil
	default:
		return c.record(conn.PeerFIN, 0, c.lastWords())
	}
}

// probesAllowed is how many unanswered keep-alive probes end the connection. Fewer mean that an answer came, and was a RST.
func (c *Conn) probesAllowed() int {
	allowed := 1
	_ = c.raw.Control(func(fd uintptr) {
		if k, err := sys.GetKeepAlive(fd); err == nil {
			allowed = k.Count
		}
	})
	return allowed
}

// lastWords tells what the peer said before it closed, without consuming it. Under TLS it would tell nothing.
func (c *Conn) lastWords() string {
	if c.tls.Load() {
		return ""
	}
	var words string
	_ = c.raw.Control(func(fd uintptr) {
		var b [lastWords]byte
		n, errno := sys.Peek(fd, b[:])
		if errno != 0 {
			c.takenErr.Store(uint32(errno))
		}
		if n > 0 {
			words = fmt.Sprintf("unread when it closed: %q", b[:n])
		}
	})
	return words
}

func (c *Conn) info() (info sys.Info, ok bool) {
	if !c.kind.TCP {
		return info, false
	}
	_ = c.raw.Control(func(fd uintptr) { info, ok = sys.TCPInfo(fd) })
	return info, ok
}

// keptAlive reports whether keep-alive probes went without an answer.
func (c *Conn) keptAlive() bool {
	info, ok := c.info()
	return ok && info.Probes > 0
}
