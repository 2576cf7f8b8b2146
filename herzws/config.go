package herzws

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/gobwas/ws"
)

// Defaults of Config.
const (
	DefaultInterval     = 30 * time.Second
	DefaultGrace        = 10 * time.Second
	DefaultMaxConns     = 10_000
	DefaultMaxLegacy    = 5_000
	DefaultMaxMessage   = 1 << 20
	DefaultQueueBytes   = 256 << 10
	DefaultWorkers      = 256
	DefaultCloseTimeout = 5 * time.Second
	DefaultSpread       = 2 * time.Second
	DefaultRetryAfter   = 5 * time.Second
)

// Headers that clients and servers of this package know.
const (
	// HeaderInterval is the pause between two heartbeats of a legacy client, as "30s". An answer that has it says: this is the legacy mode.
	HeaderInterval = "X-Heartbeat-Interval"
	// HeaderDevice names the device; one device is one entry of Server.Devices, whatever its mode and however often it comes back.
	HeaderDevice = "X-Device-Id"
	// HeaderClass is the class of the device, for Switch.SetClass. Without it the path of the request is the class.
	HeaderClass = "X-Device-Class"
)

// Mode is how a peer is kept alive.
type Mode uint8

// The modes.
const (
	V2     Mode = iota + 1 // WebSocket, ping and pong
	Legacy                 // HTTP HEAD, answered 200 with X-Heartbeat-Interval
)

// String gives the name as it stands in logs and JSON.
func (m Mode) String() string {
	switch m {
	case V2:
		return "v2"
	case Legacy:
		return "legacy"
	default:
		return "none"
	}
}

// MarshalText gives the same, for JSON.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// Kind is that of a message.
type Kind uint8

// The kinds, with the numbers of RFC 6455, section 5.2.
const (
	Text   = Kind(ws.OpText) // valid UTF-8
	Binary = Kind(ws.OpBinary)
)

// Engine says who waits for the bytes of a connection.
type Engine uint8

// The engines.
const (
	Auto     Engine = iota // Epoll where it can be, Portable elsewhere
	Portable               // a goroutine for each connection
	Epoll                  // one epoll set for all; what cannot be in it is Portable
)

// Slow says what becomes of a message for a peer whose queue is full.
type Slow uint8

// The policies.
const (
	// SlowClose ends the connection with close code 1008: what waited in the queue is dropped.
	SlowClose Slow = iota
	// SlowDropOldest drops the oldest messages that have not begun to leave, counted in Stats.Dropped.
	SlowDropOldest
	// SlowWait lets Send wait for room until its context ends.
	SlowWait
)

// Heartbeat are the times after which silence is asked about, and ended.
type Heartbeat struct {
	// Interval is the silence after which a ping is sent, and what legacy clients are told. Pings that would be due within a sixteenth of it leave with
	// the first, so that many peers do not wake the process up one by one: none is late. 0: 30 s.
	Interval time.Duration
	// Grace is how long the answer may take: the connection ends Interval + Grace after the newest whole frame. 0: 10 s.
	Grace time.Duration
}

func (h Heartbeat) withDefaults() Heartbeat {
	if h.Interval <= 0 {
		h.Interval = DefaultInterval
	}
	if h.Grace <= 0 {
		h.Grace = DefaultGrace
	}
	return h
}

// Limits bound how many peers a server takes. See Server.SetLimits.
type Limits struct {
	// Conns is the greatest number of WebSocket connections. 0: 10,000. Negative: none are taken.
	Conns int
	// Legacy is the greatest number of devices in legacy mode. 0: 5,000. Negative: none are taken.
	Legacy int
}

func (l Limits) withDefaults() Limits {
	if l.Conns == 0 {
		l.Conns = DefaultMaxConns
	}
	if l.Legacy == 0 {
		l.Legacy = DefaultMaxLegacy
	}
	return l
}

// Config is that of a Server. The zero value works. It is read when the first request comes, and must not change afterwards; what may change while
// running has a setter.
type Config struct {
	// OnOpen is called before anything of the connection is read, on the goroutine of net/http, which recovers a panic of it; the connection ends by one.
	// Nil: nobody is told.
	OnOpen func(c *Conn)
	// OnMessage is called for each message, on a goroutine that others wait for, too (Workers). The payload is the callback's to keep. Nil: messages are
	// read and dropped.
	OnMessage func(c *Conn, kind Kind, payload []byte)
	// OnClose is called once, after everything else. err is never nil: a *CloseError. Nil: nobody is told.
	OnClose func(c *Conn, err error)

	// Heartbeat is that of both modes.
	Heartbeat Heartbeat
	// Limits are those at the start; see Server.SetLimits.
	Limits Limits
	// Switch decides the mode of a device. Nil: one of the server's own, see Server.Switch.
	Switch *Switch
	// Engine is that of new connections. 0: Auto.
	Engine Engine
	// MaxMessage is the greatest message that is taken, in bytes, fragments added up; a greater one ends the connection with close code 1009. 0: 1 MiB.
	MaxMessage int
	// QueueBytes is how much may wait for a peer that reads slowly; each message counts 48 bytes more than it has. 0: 256 KiB. One message may wait,
	// however great, behind no more than half of that.
	QueueBytes int
	// Slow is what happens past that. 0: SlowClose.
	Slow Slow
	// Workers is the greatest number of callbacks that run at once. 0: 256.
	Workers int
	// CloseTimeout bounds the closing: from our Close frame to the peer's, and the writing of what was queued. 0: 5 s.
	CloseTimeout time.Duration
	// Spread is over how much time a flip of the switch, or Shutdown, closes connections. 0: 2 s. Negative: all at once.
	Spread time.Duration
	// RetryAfter is what a peer that is turned away is told (Retry-After), in whole seconds. 0: 5 s.
	RetryAfter time.Duration
	// CheckOrigin says whether a browser's page may connect. Nil: pages of the same host only, and programs, which send no Origin (RFC 6455, section 10.2).
	CheckOrigin func(*http.Request) bool
	// Subprotocols are those that are spoken, the most wanted first (RFC 6455, section 1.9). Nil: none is chosen.
	Subprotocols []string
	// Device names the device of a request. Nil: the header X-Device-Id. Empty: a WebSocket without a name has no entry in Devices, a legacy client goes
	// by its address. One of more than 256 bytes is answered 400, as is such a class.
	Device func(*http.Request) string
	// Class gives the class of a device, for the switch. Nil: the header X-Device-Class, and without it the path.
	Class func(*http.Request) string
	// Failing says when a peer whose handshakes fail is offered the legacy mode alone.
	Failing Failing
	// Logger is told at WARN of connections that ended by no decision of ours, of peers that are turned away and of those that fail, ten lines a second
	// at most. Nil: slog.Default.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Heartbeat = c.Heartbeat.withDefaults()
	c.Failing = c.Failing.withDefaults()
	for _, n := range []struct {
		to     *int
		preset int
	}{{&c.MaxMessage, DefaultMaxMessage}, {&c.QueueBytes, DefaultQueueBytes}, {&c.Workers, DefaultWorkers}} {
		if *n.to <= 0 {
			*n.to = n.preset
		}
	}
	if c.CloseTimeout <= 0 {
		c.CloseTimeout = DefaultCloseTimeout
	}
	if c.Spread == 0 {
		c.Spread = DefaultSpread
	}
	if c.RetryAfter <= 0 {
		c.RetryAfter = DefaultRetryAfter
	}
	if c.CheckOrigin == nil {
		c.CheckOrigin = sameOrigin
	}
	if c.Device == nil {
		c.Device = func(r *http.Request) string { return r.Header.Get(HeaderDevice) }
	}
	if c.Class == nil {
		c.Class = classOf
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func classOf(r *http.Request) string {
	if class := r.Header.Get(HeaderClass); class != "" {
		return class
	}
	return r.URL.Path
}
