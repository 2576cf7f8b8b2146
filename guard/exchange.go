package guard

import "herz.example/herz/conn"

// burstPause is the silence of the writer after which a write counts as the first of a new burst. It is the error of the
// sweep's estimate of how long the oldest unacknowledged byte has been under way.
const burstPause = int64(100e6)

// tlsWrites is how many writes of a connection are looked at for the begin of a TLS handshake. Protocols that start
// in clear text (MySQL, PostgreSQL, SMTP) turn to TLS within their first messages.
const tlsWrites = 8

// Begin starts a new exchange: what was sent and received before no longer counts. Pools and adapters call it at each loan.
func (c *Conn) Begin() {
	if !c.begun.Load() {
		c.begun.Store(true)
	}
	c.reset()
}

func (c *Conn) reset() {
	if c.sent.Load() == 0 {
		return // nothing was sent since: the others are zero as well
	}
	c.sent.Store(0)
	c.answered()
}

// answered says that nothing waits. What an answer has cleared already is only read, which costs a tenth of a write.
func (c *Conn) answered() {
	if c.waiting.Load() != 0 || c.pending.Load() != 0 {
		c.pending.Store(0)
		c.waiting.Store(0)
	}
	if c.timedOut.Load() {
		c.timedOut.Store(false)
	}
}

// Delivery tells what is known about the request of the exchange since Begin. Answered is claimed only when Begin was
// called and the bytes are not TLS: otherwise what came need not be the answer.
func (c *Conn) Delivery() conn.Delivery {
	switch {
	case c.sent.Load() == 0:
		return conn.NothingSent
	case c.pending.Load() == 0 && c.begun.Load() && !c.tls.Load():
		return conn.Answered
	default:
		return conn.MaybeSent
	}
}

// leaving counts n bytes that are about to be sent.
func (c *Conn) leaving(n, at int64) {
	if at-c.lastIO.Load() > burstPause || c.burst.Load() == 0 {
		c.burst.Store(at)
	}
	c.lastIO.Store(at)
	if c.waiting.Load() == 0 {
		c.waiting.Store(max(at, 1))
	}
	c.sent.Add(n)
	c.pending.Add(n)
	c.inIO.Add(1)
	c.enlist()
}

// left corrects leaving for the bytes that did not leave.
func (c *Conn) left(n, announced int64) {
	c.inIO.Add(-1)
	if n == announced && n > 0 {
		return
	}
	c.sent.Add(n - announced)
	if c.pending.Add(n-announced) <= 0 {
		c.pending.Store(0)
		c.waiting.Store(0)
	}
}

// received notes that the peer sent something.
func (c *Conn) received(at int64) {
	c.lastIO.Store(at)
	c.lastIn.Store(at)
	if c.waiting.Load() != 0 {
		c.answered()
	}
}

// sniff looks at the first writes for a TLS ClientHello (RFC 8446 §5.1: type 22, version 3.x, then message type 1).
func (c *Conn) sniff(b []byte) {
	c.sniffed.Add(1)
	hello := len(b) > 5 && b[0] == 22 && b[1] == 3 && b[2] <= 4 && b[5] == 1
	c.shaking.Store(hello)
	if hello {
		c.tls.Store(true)
	}
}

// EarlyWrites is how many writes have begun on the connection, of which the first 8 are counted. A library that answers its peer by itself shows by it what
// it has received, as net/http does when it acknowledges SETTINGS (RFC 9113 §6.5.3).
func (c *Conn) EarlyWrites() int { return min(int(c.sniffed.Load()), tlsWrites) }

// bytesSent is how many bytes of the request may have left. Without Begin it is not known where the request began: then it is what
// is unanswered, or everything, but never 0 when something was sent.
func (c *Conn) bytesSent() int64 {
	if n := c.pending.Load(); n > 0 && !c.begun.Load() {
		return n
	}
	return c.sent.Load()
}

// phase names what the exchange is doing.
func (c *Conn) phase() string {
	switch {
	case c.sent.Load() == 0:
		return "idle"
	case c.shaking.Load():
		return "tls"
	case c.pending.Load() > 0:
		return "processing"
	case c.begun.Load():
		return "transfer"
	default:
		return "idle"
	}
}
