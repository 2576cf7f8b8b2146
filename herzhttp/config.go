package herzhttp

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// Defaults of Config. Those of Limits that differ from package pool's are here.
const (
	// DefaultMaxIdle is net/http's own for all hosts together (http.DefaultTransport).
	DefaultMaxIdle = 100
	// DefaultMaxOpen is for each host. net/http has no limit, so that a host that slows down is given ever more connections.
	DefaultMaxOpen = 100
	// DefaultMaxDialing lets a burst of HTTP/1 requests find its connections in a few round trips.
	DefaultMaxDialing = 16
	// DefaultMaxIdleTime is net/http's own (http.DefaultTransport).
	DefaultMaxIdleTime = 90 * time.Second
	// DefaultDrainBytes is more than most answers that callers do not care to read.
	DefaultDrainBytes = 64 << 10
	// DefaultDrainTime is less than a new connection takes in most networks.
	DefaultDrainTime = 5 * time.Millisecond
)

// Config says how a Transport works. The zero value works. Nothing but the limits may change after New, by those of each pool; see
// [Transport.Pool].
type Config struct {
	// Name goes before the names of the pools, which are the hosts' addresses: "shop/api.example.com:443". Empty: only the address.
	Name string
	// Base has net/http's own settings, which are copied: TLSClientConfig, Proxy, Protocols (HTTP/2 without TLS by
	// UnencryptedHTTP2), HTTP2, DisableCompression, ResponseHeaderTimeout, ExpectContinueTimeout, MaxResponseHeaderBytes, ProxyConnectHeader, and
	// DialContext (or Dial), whose connections are guarded, or DialTLSContext, whose are if it guards them itself. Where there is none Herz dials, and spreads
	// connections over the addresses of a name. Its limits of connections are not used. Nil: as http.DefaultTransport has them, and Herz dials.
	Base *http.Transport
	// Guard says how sockets are guarded, where Base does not dial.
	Guard guard.Options
	// Limits are those of each host's pool. Zero fields: MaxOpen 100, MaxDialing 16, MaxIdleTime 90 s, PingAfter never (HTTP has no ping that
	// every server likes), the others as package pool has them. KeepWarm is the soft number of idle connections of a host. MaxUses is the number of
	// requests, over HTTP/2 too.
	Limits pool.Limits
	// HostLimits gives other limits for some hosts, by address as in "api.example.com:443", asked once for each pool. False: Limits. Nil: Limits for all.
	HostLimits func(address string) (pool.Limits, bool)
	// MaxIdle is the number of idle connections of all hosts together, except those that MinIdle asks for: past it, the host with the connection that has
	// rested longest gives that one up. 0: 100. Negative: without limit.
	MaxIdle int
	// DrainBytes is how much of a body that was not read to its end is read by its Close, over HTTP/1, so that the connection can be reused. 0: 64 KiB.
	// Negative: nothing, as net/http does.
	DrainBytes int64
	// DrainTime bounds that. 0: 5 ms.
	DrainTime time.Duration
	// Observer is told of the events of all pools; one that is a [pool.Binder] is asked for an observer of each. Nil: none.
	Observer pool.Observer
	// Enroll is told of each pool as it is made, and what it gives is called when the pool is closed. The board's Add fits:
	// func(p pool.Source) func() { return board.Add(p) }. It may give nil. Nil: nobody is told.
	Enroll func(p pool.Source) (leave func())
	// Watch is told of each dial and each try of a request. Nil: none.
	Watch Watch
}

// Watch hears what a Transport does. Its methods are called on the goroutine where it happens, and must be quick.
type Watch interface {
	// Dialed tells of a connection that was made, or could not be.
	Dialed(Dial)
	// Tried tells of one try of a request, when its answer has begun or it has failed.
	Tried(Try)
}

// Dial is what one dial took, by phase. Phases that did not happen are 0: there is no resolution of an IP address, and none is seen where a proxy resolves.
type Dial struct {
	Host    string        // address as configured, with port
	Network string        // "tcp", "unix"; empty when no connection was begun
	Remote  string        // the address that was connected to, that of the proxy where there is one
	Conn    uint64        // number of the guarded socket; 0 when the dial failed
	HTTP2   bool          // what was agreed on
	Resolve time.Duration // looking up the name
	Connect time.Duration // TCP handshake, of the attempt that succeeded
	TLS     time.Duration // TLS handshake
	Err     error         // nil when it succeeded
}

// Try is one try of a request.
type Try struct {
	Host      string // address as configured, with port
	Method    string
	Conn      uint64        // number of the guarded socket; 0 when there was none
	HTTP2     bool          // protocol of the connection
	Reused    bool          // the connection had served before
	Waited    time.Duration // for the connection
	FirstByte time.Duration // from the request to the head of its answer, or to the error
	Status    int           // of the answer; 0 when there was none
	Repeats   bool          // it failed and is tried once more
	Unsent    bool          // it failed, and it is proved that the server has not acted on it
	Err       error         // nil when an answer began; of the last try what the caller gets, such as an [*AmbiguousError]
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.MaxIdle == 0:
		c.MaxIdle = DefaultMaxIdle
	case c.MaxIdle < 0:
		c.MaxIdle = int(^uint(0) >> 1)
	}
	if c.DrainBytes == 0 {
		c.DrainBytes = DefaultDrainBytes
	}
	c.DrainBytes = min(c.DrainBytes, math.MaxInt64-1) // one more is read, to see the end
	if c.DrainTime == 0 {
		c.DrainTime = DefaultDrainTime
	}
	c.Limits = limitsOf(c.Limits)
	err := errors.Join(c.Limits.Check(), c.Guard.Check())
	if c.DrainTime < 0 {
		err = errors.Join(err, fmt.Errorf("DrainTime is %v; set DrainBytes to -1 to drain nothing", c.DrainTime))
	}
	if err != nil {
		return c, fmt.Errorf("herz/herzhttp: config: %w", err)
	}
	return c, nil
}

// limitsOf fills in what differs from package pool's defaults.
func limitsOf(l pool.Limits) pool.Limits {
	if l.MaxOpen == 0 {
		l.MaxOpen = max(DefaultMaxOpen, l.MinIdle, l.KeepWarm)
	}
	if l.MaxDialing == 0 {
		l.MaxDialing = DefaultMaxDialing
	}
	if l.MaxIdleTime == 0 {
		l.MaxIdleTime = DefaultMaxIdleTime
	}
	if l.PingAfter == 0 {
		l.PingAfter = -1
	}
	return l
}
