package guard

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Defaults and bounds of Options.
const (
	DefaultHeartbeatTimeout = 3200 * time.Millisecond
	DefaultProbeAfter       = 20 * time.Millisecond
	MinHeartbeatTimeout     = 2500 * time.Millisecond
	MaxHeartbeatTimeout     = time.Hour
)

// Options say how a connection is guarded. The zero value is good for request and answer over TCP. Options are copied
// when the connection is made and do not change afterwards.
type Options struct {
	// HeartbeatTimeout bounds the time from a black hole to the error of the exchange that waits in it, and the time of a
	// dial. 0: 3.2 s. At least 2.5 s, because the kernel counts keep-alive in whole seconds; at most 1 h. See WAN.
	HeartbeatTimeout time.Duration
	// ProbeAfter is the silence, in both directions, after which the kernel is asked before a write. 0: 20 ms. Less than
	// HeartbeatTimeout.
	ProbeAfter time.Duration
	// ListenKeepAlive keeps the keep-alive of HeartbeatTimeout (1 s, 1 s, 2 probes for 3.2 s) on for the whole life, for a
	// reader that only listens. It costs a packet a second. False: only while an exchange waits.
	ListenKeepAlive bool
	// EOFNeverClean says that in this protocol no answer ends by the end of the stream, so that an end in the middle of an
	// exchange is ambiguous even after part of an answer. False: such an end is passed on as it is (HTTP/1 bodies).
	EOFNeverClean bool
	// AmbiguousDeadlines makes a deadline that runs out in the middle of an exchange an error that is also ErrAmbiguous.
	// False: the error is passed on as it is.
	AmbiguousDeadlines bool
	// ReadError gives an ambiguous failure another shape, for a library that needs one. It must not return nil. Nil: the
	// *AmbiguousError itself.
	ReadError func(*AmbiguousError) error
	// ImplicitBegin starts a new exchange with each write that follows an answer. It is right only where no request depends on
	// an earlier one on the same connection: no transactions, no MULTI. False: only Begin starts one.
	ImplicitBegin bool
	// ResolveEvery is how often the host name that was dialled is resolved again while its connections are in use; ten times longer while they
	// rest. A connection to an address to which its name no longer leads is condemned, after two answers in a row without it, 250
	// ms apart. One lookup serves all connections of the process that have the same name. 0: 1 s. Negative: never. At least 100 ms.
	ResolveEvery time.Duration
	// Resolver resolves names, for a Dialer whose Net has none, and for ResolveEvery. Nil: net.DefaultResolver.
	Resolver *net.Resolver
	// ReplyOnly says that in this protocol the peer speaks only when it was asked, as MySQL's does and PostgreSQL's, which sends notices, does not. Bytes
	// that lie in the socket when Alive asks the kernel, with nothing unanswered, then end the connection: the next user would take them for an
	// answer. False: they may lie there.
	ReplyOnly bool
	// Multiplexed says that several exchanges share the connection (HTTP/2, gRPC) or that both ends speak at any time
	// (WebSocket). Errors of reads and writes are then passed on as they are.
	Multiplexed bool
	// Awaited tells whether somebody waits for the peer now, whatever it has sent already: calls and streams share a connection under HTTP/2, and
	// a frame that came for one of them says nothing of the others. While it is true a black hole ends the connection within HeartbeatTimeout,
	// and while it is false only bytes that are not acknowledged do. It is asked every 250 ms by the sweep, while there was traffic or it was true the
	// last time, must not block, and must turn true before the first byte of what is waited for is written. Nil: what was sent and received tells.
	Awaited func() bool
}

// Presets. They are values to copy, and to change in the copy.
var (
	// SQL is for database protocols: an answer never ends by the end of the stream.
	SQL = Options{EOFNeverClean: true}
	// Redis is for Redis: as SQL, and a deadline in the middle of an exchange is ambiguous, because clients repeat on it.
	Redis = Options{EOFNeverClean: true, AmbiguousDeadlines: true}
	// WAN is for long paths and for virtual machines that are moved while they run.
	WAN = Options{HeartbeatTimeout: 10 * time.Second}
)

// Check refuses values that cannot work, in words. The Dialer calls it at each dial; Wrap, which never fails, uses the
// nearest value that works instead.
func (o Options) Check() error {
	var errs []error
	refuse := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("herz/guard: options: "+format, args...))
	}
	d := o.withDefaults()
	if o.HeartbeatTimeout != 0 && (o.HeartbeatTimeout < MinHeartbeatTimeout || o.HeartbeatTimeout > MaxHeartbeatTimeout) {
		refuse("HeartbeatTimeout %v is not between %v and %v: keep-alive is counted in whole seconds; choose 3.2s, or 10s for long paths",
			o.HeartbeatTimeout, MinHeartbeatTimeout, MaxHeartbeatTimeout)
	}
	if o.ProbeAfter < 0 || d.ProbeAfter >= d.HeartbeatTimeout {
		refuse("ProbeAfter %v is not between 0 and HeartbeatTimeout (%v): a probe that late finds nothing in time; choose 20ms",
			o.ProbeAfter, d.HeartbeatTimeout)
	}
	if o.ResolveEvery > 0 && o.ResolveEvery < MinResolveEvery {
		refuse("ResolveEvery %v is less than %v: it would flood the name server; choose 1s, or a negative value for never", o.ResolveEvery, MinResolveEvery)
	}
	if o.Multiplexed && (o.EOFNeverClean || o.AmbiguousDeadlines || o.ImplicitBegin || o.ReadError != nil) {
		refuse("Multiplexed passes errors on unchanged: unset EOFNeverClean, AmbiguousDeadlines, ImplicitBegin and ReadError, or unset Multiplexed")
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.HeartbeatTimeout == 0 {
		o.HeartbeatTimeout = DefaultHeartbeatTimeout
	}
	if o.ProbeAfter == 0 {
		o.ProbeAfter = DefaultProbeAfter
	}
	if o.ResolveEvery == 0 {
		o.ResolveEvery = DefaultResolveEvery
	}
	return o
}

// nearest gives options that pass Check.
func (o Options) nearest() Options {
	o = o.withDefaults()
	o.HeartbeatTimeout = min(max(o.HeartbeatTimeout, MinHeartbeatTimeout), MaxHeartbeatTimeout)
	if o.ProbeAfter < 0 || o.ProbeAfter >= o.HeartbeatTimeout {
		o.ProbeAfter = DefaultProbeAfter
	}
	if o.ResolveEvery > 0 {
		o.ResolveEvery = max(o.ResolveEvery, MinResolveEvery)
	}
	if o.Multiplexed {
		o.EOFNeverClean, o.AmbiguousDeadlines, o.ImplicitBegin, o.ReadError = false, false, false, nil
	}
	return o
}
