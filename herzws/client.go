package herzws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// Defaults of ClientConfig.
const (
	DefaultDialTimeout = 10 * time.Second
	DefaultBackoff     = 200 * time.Millisecond
	DefaultBackoffMax  = 30 * time.Second
	DefaultProbeEvery  = 5 * time.Minute
)

// ClientConfig is that of a Client. All but URL may be zero. It must not change afterwards.
type ClientConfig struct {
	// URL is the server's: ws:// or wss://. In legacy mode the same address is asked by http:// or https://.
	URL string
	// Header is sent with each request. Nil: nothing beyond what is needed.
	Header http.Header
	// Device and Class are sent as X-Device-Id and X-Device-Class. Empty: they are not sent.
	Device, Class string
	// Subprotocols are offered, the most wanted first.
	Subprotocols []string
	// TLS is for wss://. Nil: the system's authorities, and the name of the URL.
	TLS *tls.Config
	// NetDial dials TCP. Nil: a guard.Dialer with Guard.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Guard is for the sockets. Multiplexed is set in any case. ListenKeepAlive finds a black hole in 3.2 s, for a packet a second; without it Heartbeat
	// does, in 40 s.
	Guard guard.Options

	// OnMessage is called for each message, one after the other. The payload is the callback's to keep. Nil: messages are dropped.
	OnMessage func(kind Kind, payload []byte)
	// OnState is called after each change, one after the other: V2 or Legacy when the server has taken us in that mode, 0 with the reason when it is
	// lost. The next change waits for it: a Send in it waits in vain while there is no connection, so that with 0 it is not to send. Nil: nobody is told.
	OnState func(mode Mode, err error)

	// Heartbeat is that of WebSockets, our side of it. In legacy mode the server says how often.
	Heartbeat Heartbeat
	// MaxMessage, QueueBytes, Slow and CloseTimeout are as in Config; no queue is kept while there is no connection.
	MaxMessage, QueueBytes int
	Slow                   Slow
	CloseTimeout           time.Duration
	// DialTimeout bounds a dial with its handshake, and a heartbeat in legacy mode. 0: 10 s.
	DialTimeout time.Duration
	// Backoff is the greatest pause before the first attempt to connect again; each further one may be twice as long, up to BackoffMax. Pauses are drawn
	// between 0 and that, so that many clients do not come at once. A pause that the server asks for (Retry-After) is kept, up to BackoffMax. Pauses begin
	// anew after a heartbeat in legacy mode, a WebSocket that lasted for the shorter of Heartbeat.Interval and BackoffMax, or one that the server drained
	// (1001, 1012). 0: 200 ms and 30 s.
	Backoff, BackoffMax time.Duration
	// ProbeEvery is how often a client in legacy mode asks for a WebSocket again, beside when a heartbeat is not answered as one. 0: 5 min. Negative: never.
	ProbeEvery time.Duration
	// Logger is told at WARN of connections that were lost. Nil: slog.Default.
	Logger *slog.Logger
}

func (c ClientConfig) withDefaults() ClientConfig {
	c.Heartbeat = c.Heartbeat.withDefaults()
	for _, d := range []struct {
		to     *time.Duration
		preset time.Duration
	}{{&c.DialTimeout, DefaultDialTimeout}, {&c.Backoff, DefaultBackoff}, {&c.BackoffMax, DefaultBackoffMax}, {&c.CloseTimeout, DefaultCloseTimeout}} {
		if *d.to <= 0 {
			*d.to = d.preset
		}
	}
	if c.ProbeEvery == 0 {
		c.ProbeEvery = DefaultProbeEvery
	}
	if c.MaxMessage <= 0 {
		c.MaxMessage = DefaultMaxMessage
	}
	if c.QueueBytes <= 0 {
		c.QueueBytes = DefaultQueueBytes
	}
	if c.NetDial == nil {
		d := NewDialer(c.Guard)
		c.NetDial = d.DialContext
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Client keeps a connection to a server, in the mode that the server wants, and comes back when it is lost.
type Client struct {
	cfg    ClientConfig
	url    *url.URL
	cancel context.CancelFunc
	over   chan struct{}
	now    atomic.Pointer[state]
	counts clientCounters
	totals counters // of all its WebSockets
}

// state is where the client is. It never changes, but for told; the next one closes changed.
type state struct {
	mode    Mode
	c       *Conn // of V2
	changed chan struct{}
	told    atomic.Bool // OnState has returned
}

type clientCounters struct{ connects, legacy, heartbeats, lost atomic.Uint64 }

// ClientStats are counted since Dial.
type ClientStats struct {
	Connects   uint64 // WebSockets that were opened
	Legacy     uint64 // times the server took us in legacy mode
	Heartbeats uint64 // of the legacy mode, answered
	Lost       uint64 // times the connection was lost, drained ones among them
	Sent       uint64 // messages that Send accepted
	Received   uint64 // messages
}

// HandshakeError says that the server answered a request for a WebSocket otherwise.
type HandshakeError struct {
	URL        string
	Status     int
	RetryAfter time.Duration // 0: it did not say
}

// Error names the answer.
func (e *HandshakeError) Error() string {
	return fmt.Sprintf("herz/herzws: connect to %s: the server answered %d %s in place of a WebSocket", e.URL, e.Status, http.StatusText(e.Status))
}

// Dial connects, in the mode that the server wants, and goes on by itself until Close. The error is that of the first attempt.
func Dial(ctx context.Context, cfg ClientConfig) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return nil, fmt.Errorf("herz/herzws: connect: the URL %q has to be ws://host/path or wss://host/path", cfg.URL)
	}
	cfg.Guard.Multiplexed = true
	if err = cfg.Guard.Check(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg.withDefaults(), url: u, over: make(chan struct{})}
	c.now.Store(&state{changed: make(chan struct{})})
	first, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel = cancel
	go c.run(run, first)
	return c, nil
}

// newHub gives the hub of one connection: when that has ended nothing of it is left.
func (c *Client) newHub() (h *hub, ended chan *CloseError) {
	ended = make(chan *CloseError, 1)
	h = &hub{
		interval: c.cfg.Heartbeat.Interval, grace: c.cfg.Heartbeat.Grace, closeTimeout: c.cfg.CloseTimeout,
		maxMessage: c.cfg.MaxMessage, queueBytes: c.cfg.QueueBytes,
		slow: c.cfg.Slow, workers: 1, client: true, counts: &c.totals, born: time.Now(), ended: func(*Conn, *CloseError) {},
		onClose: func(_ *Conn, err error) {
			var why *CloseError
			if errors.As(err, &why) {
				ended <- why
			}
		},
	}
	if c.cfg.OnMessage != nil {
		h.onMessage = func(_ *Conn, kind Kind, payload []byte) { c.cfg.OnMessage(kind, payload) }
	}
	return h, ended
}

// run is the client's goroutine: it goes from one connection to the next.
func (c *Client) run(ctx context.Context, at *attempt) {
	defer close(c.over)
	pause := backoff{first: c.cfg.Backoff, most: c.cfg.BackoffMax}
	for {
		var err error
		switch {
		case at == nil:
		case at.c != nil:
			began := time.Now()
			if err = c.serve(ctx, at); at.c.heard && time.Since(began) >= min(c.cfg.Heartbeat.Interval, c.cfg.BackoffMax) || asksBack(err) {
				pause.reset()
			}
		default:
			c.counts.legacy.Add(1)
			before := c.counts.heartbeats.Load()
			if at, err = c.heartbeats(ctx, at.every); c.counts.heartbeats.Load() > before {
				pause.reset()
			}
			if at != nil { // it is a WebSocket again
				continue
			}
		}
		if ctx.Err() != nil {
			return
		}
		for at = nil; at == nil; {
			if !sleep(ctx, pause.next(err)) {
				return
			}
			if at, err = c.connect(ctx); err != nil && ctx.Err() == nil {
				c.cfg.Logger.Warn("herz: the WebSocket server cannot be reached", "url", c.cfg.URL, "error", err)
			}
		}
	}
}

// asksBack reports whether the server drained us, so that it, or the one that takes its place, wants us back soon.
func asksBack(err error) bool {
	var why *CloseError
	return errors.As(err, &why) && !why.Ours && (why.Code == CodeServiceRestart || why.Code == CodeGoingAway)
}

// serve is in charge of one WebSocket until it has ended.
func (c *Client) serve(ctx context.Context, at *attempt) error {
	c.counts.connects.Add(1)
	c.move(V2, at, nil)
	stop := context.AfterFunc(ctx, func() { at.c.Close(CodeNormal, "") })
	defer stop()
	why := <-at.ended // bounded by the heartbeat, and after Close by CloseTimeout
	<-at.hub.still()
	c.counts.lost.Add(1)
	if why.Code != CodeServiceRestart && ctx.Err() == nil {
		c.cfg.Logger.Warn("herz: the WebSocket was lost, and is made anew", "url", c.cfg.URL, "cause", why.Cause.String(),
			"code", int(why.Code), "reason", why.Reason)
	}
	c.move(0, nil, why)
	return why
}

// move makes the next state and tells it.
func (c *Client) move(mode Mode, now *attempt, err error) {
	next := &state{mode: mode, changed: make(chan struct{})}
	next.told.Store(c.cfg.OnState == nil)
	if now != nil {
		next.c = now.c
	}
	before := c.now.Swap(next)
	close(before.changed)
	if now != nil {
		now.c.begin(now.early) // not sooner: what OnMessage sends goes by this state, and not by the one before
	}
	if c.cfg.OnState != nil {
		c.cfg.OnState(mode, err)
		next.told.Store(true)
	}
}

// Mode is that in which the server has us now; 0: it has not.
func (c *Client) Mode() Mode { return c.now.Load().mode }

// Stats are the numbers now.
func (c *Client) Stats() ClientStats {
	return ClientStats{
		Connects: c.counts.connects.Load(), Legacy: c.counts.legacy.Load(), Heartbeats: c.counts.heartbeats.Load(), Lost: c.counts.lost.Load(),
		Sent: c.totals.sent.Load(), Received: c.totals.received.Load(),
	}
}

// Send sends a message; see [Conn.Send]. While there is no connection it waits for the next one, until ctx ends; but while OnMessage runs, or OnState with V2,
// whose connection has ended, the error is ErrClosed: the next one is made when it has returned. In legacy mode the error is ErrLegacy. A message that was
// accepted is written before our Close frame when the server drains the connection; when the connection breaks, it may be lost.
func (c *Client) Send(ctx context.Context, kind Kind, payload []byte) error {
	for {
		at := c.now.Load()
		switch {
		case at.mode == Legacy:
			return ErrLegacy
		case at.c != nil:
			// While a callback runs its connection is not replaced, and it may be the callback that sends; so with OnState.
			if err := at.c.Send(ctx, kind, payload); !errors.Is(err, ErrClosed) || at.c.busy.Load() || !at.told.Load() {
				return err
			}
		}
		select {
		case <-at.changed:
		case <-c.over:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("herz/herzws: send: there is no connection to %s, and nothing was sent: %w", c.cfg.URL, ctx.Err())
		}
	}
}

// Close ends the connection with code 1000, waits for the server's answer until ctx ends or CloseTimeout has passed, and connects no more. It must
// not be called from a callback.
func (c *Client) Close(ctx context.Context) error {
	c.cancel()
	select {
	case <-c.over:
		return nil
	case <-ctx.Done():
	}
	if at := c.now.Load(); at.c != nil {
		at.c.abort(&CloseError{Code: CodeAbnormal, Ours: true, Cause: conn.Drained, Reason: "the time of Close ran out"})
	}
	return ctx.Err()
}

// backoff are pauses that grow.
type backoff struct {
	first, most, now time.Duration
}

func (b *backoff) reset() { b.now = 0 }

// next is the pause after an error. Who was drained comes back after the first pause, as the server has spread its clients already.
func (b *backoff) next(err error) time.Duration {
	if b.now == 0 {
		b.now = b.first
	} else {
		b.now = min(2*b.now, b.most)
	}
	pause := rand.N(b.now) //nolint:gosec // a time, and no secret
	var refused *HandshakeError
	if errors.As(err, &refused) && refused.RetryAfter > 0 {
		pause += min(refused.RetryAfter, max(b.most, b.first))
	}
	return pause
}

// sleep waits; false: ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
