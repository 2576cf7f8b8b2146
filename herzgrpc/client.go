package herzgrpc

import (
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// Client makes the options of channels, and counts what happens on them. It needs no closing. Make it by New.
type Client struct {
	config Config
	timed  bool    // somebody wants to know how long calls take
	meters *meters // nil: none
	log    *pool.Log

	methods methods
	running atomic.Int64
	repeats atomic.Uint64

	conns       sync.Map // net.Addr of our end, the very pointer → *guard.Conn, while it is open
	open        atomic.Int64
	dials       atomic.Uint64
	dialsFailed atomic.Uint64
	deaths      []atomic.Uint64 // by conn.Cause
	rotations   atomic.Uint64
	tooMany     atomic.Uint64
	refused     refusals
}

// refusals are the newest connections that ended by too many pings: calls of some that are lost at the same time end in any order.
type refusals struct {
	// mu guards the rest. Nothing is called under it.
	mu   sync.Mutex
	ends [16]net.Addr // ours
	next int
}

// first reports whether an end is told of for the first time.
func (r *refusals) first(at net.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.ends[:], at) {
		return false
	}
	r.ends[r.next] = at
	r.next = (r.next + 1) % len(r.ends)
	return true
}

// channel is what the calls and connections of one set of options share.
type channel struct {
	client  *Client
	running atomic.Int64
	conns   atomic.Int64                  // connections now
	gate    atomic.Pointer[chan struct{}] // calls wait for it before they begin; nil: they do not
	coming  atomic.Int64                  // calls that have begun and have no connection yet, where connections have an age
}

// New refuses a Config that cannot work. It connects to nobody.
func New(cfg Config) (*Client, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	c := &Client{config: cfg, log: pool.NewLog(cfg.Logger), deaths: make([]atomic.Uint64, len(conn.Causes()))}
	c.methods.most = int64(cfg.MaxMethods)
	c.methods.other.name = otherMethod
	if cfg.MeterProvider != nil {
		m, err := newMeters(c, cfg.MeterProvider)
		if err != nil {
			return nil, err
		}
		c.meters = m
	}
	c.timed = c.meters != nil || cfg.Observer != nil
	return c, nil
}

// DialOptions are the options of one channel, for grpc.NewClient. Call it for each channel: while a call runs on one of several channels with
// the same options, the connections of all of them are watched closely. What comes after them in the list of options wins over them, but for
// WithResolvers, where the first of a scheme counts. Interceptors that stand before them see a call once, those that stand after them each repeat, as does
// grpc.OnFinish.
func (c *Client) DialOptions() []grpc.DialOption {
	ch := &channel{client: c}
	cfg := &c.config
	opts := []grpc.DialOption{
		grpc.WithContextDialer(ch.dial),
		grpc.WithResolvers(ch.resolvers()...),
		grpc.WithChainUnaryInterceptor(ch.unary),
		grpc.WithChainStreamInterceptor(ch.stream),
		grpc.WithIdleTimeout(max(cfg.IdleTimeout, 0)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: baseBackoff, Multiplier: 1.6, Jitter: 0.2, MaxDelay: cfg.MaxBackoff},
			MinConnectTimeout: cfg.ConnectTimeout,
		}),
	}
	if cfg.KeepAliveTimeout > 0 {
		opts = append(opts, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: cfg.keepAliveTime(), Timeout: cfg.KeepAliveTimeout}))
	}
	if cfg.MaxConnectionAge > 0 {
		opts = append(opts, grpc.WithStatsHandler(arrivals{}))
	}
	if !cfg.PolicyRetries {
		opts = append(opts, grpc.WithDisableRetry())
	}
	if c.meters != nil {
		opts = append(opts, c.meters.subchannels)
	}
	return opts
}

// Stats are the numbers of a client at one moment. Calls and connections are not counted at the same instant.
type Stats struct {
	Running      int64  // calls and streams now
	Open         int64  // connections now
	Repeats      uint64 // of calls, after proof that nothing had left
	Dials        uint64 // attempts to connect
	DialsFailed  uint64 // of these; with TLS, an attempt whose handshake fails counts as a connection that ended
	Rotations    uint64 // addresses whose connections were replaced because of MaxConnectionAge
	TooManyPings uint64 // connections that the server ended because it had been pinged too often
	Ended        map[conn.Cause]uint64
	Calls        []CallCount // by method
}

// Stats gives the numbers since New.
func (c *Client) Stats() Stats {
	s := Stats{
		Running: c.running.Load(), Open: c.open.Load(), Repeats: c.repeats.Load(), Dials: c.dials.Load(), DialsFailed: c.dialsFailed.Load(),
		Rotations: c.rotations.Load(), TooManyPings: c.tooMany.Load(), Ended: map[conn.Cause]uint64{}, Calls: c.methods.all(),
	}
	for _, cause := range conn.Causes() {
		s.Ended[cause] = c.deaths[cause].Load()
	}
	maps.DeleteFunc(s.Ended, func(_ conn.Cause, n uint64) bool { return n == 0 })
	return s
}

// keep takes a new connection into the books, and has it leave them when it ends.
func (ch *channel) keep(g *guard.Conn) {
	c := ch.client
	g.SetPool(c.config.Name)
	at, known := placeOf(g.LocalAddr())
	if known {
		c.conns.Store(at, g)
	}
	c.open.Add(1)
	ch.conns.Add(1)
	g.OnDeath(func(d conn.Death) {
		c.open.Add(-1)
		ch.conns.Add(-1)
		c.deaths[d.Cause].Add(1)
		if known {
			c.conns.Delete(at)
		}
		c.log.Observe(pool.Event{Kind: pool.ConnectionClosed, At: time.Now(), Pool: c.config.Name, Conn: d.ID, Cause: d.Cause, Death: &d})
	})
}

// placeOf is an address that belongs to one connection alone: sockets give the same pointer each time they are asked, and share it with nobody.
func placeOf(a net.Addr) (net.Addr, bool) {
	switch a.(type) {
	case *net.TCPAddr, *net.UnixAddr:
		return a, true
	default:
		return nil, false
	}
}

// lost reports whether the connection whose end of ours is a has ended. It is true of one that is not known.
func (c *Client) lost(a net.Addr) bool {
	at, known := placeOf(a)
	if !known {
		return true
	}
	found, open := c.conns.Load(at)
	return !open || found.(*guard.Conn).Dead()
}

// lookForPings counts and tells a connection that the server ended because it was pinged too often (gRFC A8), once for all calls that were lost
// with it. gRPC tells nobody but in the text of their status.
func (c *Client) lookForPings(k *call, err error) {
	at, known := placeOf(k.peer.LocalAddr)
	if !known || !strings.Contains(err.Error(), "too_many_pings") {
		return
	}
	if !c.refused.first(at) {
		return
	}
	c.tooMany.Add(1)
	c.config.Logger.Warn("herz: the server ended a connection because of too many keep-alive pings",
		"pool", c.config.Name, "peer", k.who(), "ping_every", c.config.keepAliveTime(), "server_min_time", c.config.ServerMinTime,
		"server_default_min_time", DefaultServerMinTime,
		"hint", "set Config.ServerMinTime to the server's keepalive.EnforcementPolicy.MinTime; until then gRPC doubles the pause by itself")
}
