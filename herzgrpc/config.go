package herzgrpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/resolver"

	"herz.example/herz/guard"
)

// Defaults and bounds of Config and ServerConfig.
const (
	// DefaultServerMinTime is what a server allows that was told nothing: keep-alive pings at least 5 minutes apart (gRPC's
	// keepalive.EnforcementPolicy.MinTime, and GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS elsewhere).
	DefaultServerMinTime = 5 * time.Minute
	// MinKeepAliveTime is the shortest time between pings that grpc-go sends; it raises what is shorter.
	MinKeepAliveTime        = 10 * time.Second
	DefaultKeepAliveTimeout = 10 * time.Second
	DefaultIdleTimeout      = 5 * time.Minute
	DefaultMaxBackoff       = 10 * time.Second
	DefaultRetries          = 2
	DefaultRetryWait        = time.Second
	MinConnectionAge        = 100 * time.Millisecond
	maxRetries              = 10
	baseBackoff             = 250 * time.Millisecond
)

// Config says how a client's channels behave. The zero value works. No field may change after New.
type Config struct {
	// Name stands in logs and in Death.Pool of the connections. Empty: "grpc".
	Name string
	// Guard says how connections are guarded. Multiplexed and Awaited are set, whatever they are.
	Guard guard.Options
	// Dialer dials in place of net.Dialer; what it returns is guarded. It is given "tcp" or "unix". It bypasses Proxy. Nil: net.Dialer.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
	// Proxy names the HTTP proxy through which a target is reached, by CONNECT, or nil for none, as http.Transport.Proxy does. It is asked for targets of
	// the schemes dns and passthrough, and of Resolvers, with https://host:port, and again for each address that they lead to: where it returns nil, or an
	// error, that is reached directly. Nil: http.ProxyFromEnvironment, as gRPC has it without a dialer of its
	// own (HTTPS_PROXY, NO_PROXY).
	Proxy func(*http.Request) (*url.URL, error)
	// ServerMinTime is how far apart the server wants keep-alive pings to be, at least (keepalive.EnforcementPolicy.MinTime). The client pings
	// a tenth later than that, and never more often than every 10 s. 0: 5 min, which is what servers allow that were told nothing.
	ServerMinTime time.Duration
	// KeepAliveTimeout is how long a ping may be unanswered. Pings find what the guard cannot: a server whose kernel acknowledges while the process hangs.
	// 0: 10 s. Negative: no keep-alive.
	KeepAliveTimeout time.Duration
	// ConnectTimeout bounds an attempt to connect, with TLS and the server's first frame (grpc.ConnectParams.MinConnectTimeout, by default 20 s
	// in gRPC). After failures gRPC gives an attempt as long as the pause that follows it, where that is longer, a fifth more than MaxBackoff at most; what
	// comes before TLS is bounded by Guard.HeartbeatTimeout in any case. 0: Guard.HeartbeatTimeout.
	ConnectTimeout time.Duration
	// MaxBackoff is the longest pause between two attempts to connect to an address; the first is 250 ms, and they grow by 1.6, by chance up to
	// a fifth more or less. 0: 10 s; gRPC has 120 s, so that a server would be found up to two minutes after it came back.
	MaxBackoff time.Duration
	// IdleTimeout is after how long without a call the channel lets its connections go; the next call dials. 0: 5 min, less than
	// the 350 s after which common NAT gateways forget a flow. Negative: never.
	IdleTimeout time.Duration
	// MaxConnectionAge is how old a connection may get. Then a new one is opened, which calls wait for, and the old one is closed when its last call has
	// ended. Each address has turns of its own, this far apart, the first by chance between half of it and all; a connection that is opened between two
	// turns is replaced at the next. It works for targets of the schemes dns and passthrough, and of Resolvers. 0: no bound, but the server's
	// (ServerConfig.MaxConnectionAge). At least 100 ms.
	MaxConnectionAge time.Duration
	// Retries is how often a call is repeated that failed with UNAVAILABLE and of which nothing left (class never_sent). 0: 2. Negative: never. At most 10.
	Retries int
	// RetryWait is how long a call waits, in all repeats together, for the channel to become ready. It never waits longer than its context lasts. 0: 1 s.
	RetryWait time.Duration
	// PolicyRetries lets the retryPolicy of a service config repeat calls, which it does also when the request may have been executed. False: it does
	// not. What gRPC proves to be unprocessed (REFUSED_STREAM, GOAWAY) it repeats in any case.
	PolicyRetries bool
	// Resolvers are name resolvers for MaxConnectionAge and Proxy to work with. They come before registered ones of their scheme. Nil: those of
	// dns and passthrough.
	Resolvers []resolver.Builder
	// Logger is given lost connections and warnings. Nil: slog.Default, as it is in New.
	Logger *slog.Logger
	// Observer is told of each call that ended. Nil: none.
	Observer Observer
	// MeterProvider takes herz.grpc.calls, herz.grpc.retries and rpc.client.call.duration, and turns gRPC's grpc.subchannel.* metrics on. These need a
	// stats.Handler, which costs each call more than all the rest of this package (docs/bench.md); Stats has the same facts without. Nil: no metrics.
	MeterProvider metric.MeterProvider
	// MaxMethods bounds the methods that are counted by name; what comes later is counted as "other", as are methods whose name was made at run
	// time (without grpc.StaticMethod, which generated code has). 0: 1,000.
	MaxMethods int
}

// Check refuses values that cannot work, in words.
func (c Config) Check() error {
	var errs []error
	refuse := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("herz/herzgrpc: config: "+format, args...))
	}
	o := c.Guard
	o.Multiplexed = true
	if err := o.Check(); err != nil {
		errs = append(errs, err)
	}
	for name, d := range map[string]time.Duration{
		"ServerMinTime": c.ServerMinTime, "ConnectTimeout": c.ConnectTimeout, "MaxBackoff": c.MaxBackoff, "RetryWait": c.RetryWait,
	} {
		if d < 0 {
			refuse("%s %v is negative: leave it 0 for the default", name, d)
		}
	}
	if c.MaxBackoff > 0 && c.MaxBackoff < baseBackoff {
		refuse("MaxBackoff %v is less than the first pause, %v", c.MaxBackoff, baseBackoff)
	}
	if c.MaxConnectionAge < 0 || c.MaxConnectionAge > 0 && c.MaxConnectionAge < MinConnectionAge {
		refuse("MaxConnectionAge %v is less than %v: the channel would do nothing but connect; leave it 0 for none", c.MaxConnectionAge, MinConnectionAge)
	}
	if c.Retries > maxRetries {
		refuse("Retries %d is more than %d: a call that finds no connection that often will not find one", c.Retries, maxRetries)
	}
	if c.MaxMethods < 0 {
		refuse("MaxMethods %d is negative: leave it 0 for 1,000", c.MaxMethods)
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&c.Guard.HeartbeatTimeout, guard.DefaultHeartbeatTimeout)
	set(&c.ServerMinTime, DefaultServerMinTime)
	set(&c.KeepAliveTimeout, DefaultKeepAliveTimeout)
	set(&c.ConnectTimeout, c.Guard.HeartbeatTimeout)
	set(&c.MaxBackoff, DefaultMaxBackoff)
	set(&c.IdleTimeout, DefaultIdleTimeout)
	set(&c.RetryWait, DefaultRetryWait)
	if c.Name == "" {
		c.Name = "grpc"
	}
	if c.Retries == 0 {
		c.Retries = DefaultRetries
	}
	if c.Proxy == nil {
		c.Proxy = http.ProxyFromEnvironment
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.MaxMethods == 0 {
		c.MaxMethods = 1000
	}
	return c
}

// keepAliveTime is the time between pings. A tenth more than the server's bound, because what is sent evenly does not arrive evenly.
func (c Config) keepAliveTime() time.Duration {
	return max(c.ServerMinTime+c.ServerMinTime/10, MinKeepAliveTime)
}
