package herzgrpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Defaults of ServerConfig.
const (
	DefaultServerKeepAlive         = time.Minute
	DefaultServerKeepAliveTimeout  = 20 * time.Second
	DefaultServerMaxConnectionAge  = 30 * time.Minute
	DefaultServerMaxConnectionIdle = 15 * time.Minute
	DefaultServerConnectTimeout    = 5 * time.Second
	// stopTime is how long a Drain whose time is over waits for what it cut off.
	stopTime = 500 * time.Millisecond
)

// ServerConfig says how a server treats its connections. The zero value works. No field may change after NewServer.
type ServerConfig struct {
	// MinTime is how far apart a client's keep-alive pings have to be; who pings more often is cut off after the third (ENHANCE_YOUR_CALM,
	// too_many_pings). It is what clients have to know as Config.ServerMinTime. 0: 5 min, as in gRPC, with which a Client that was told nothing agrees.
	MinTime time.Duration
	// AllowIdlePings lets clients ping while no call runs. A Client does not. False: who does is cut off.
	AllowIdlePings bool
	// KeepAlive is after how much silence the server pings a client, and KeepAliveTimeout how long it waits for the answer: so it gets rid of clients that
	// vanished, for whom gRPC waits two hours. 0: 1 min, and 20 s. Negative KeepAlive: never.
	KeepAlive, KeepAliveTimeout time.Duration
	// MaxConnectionAge is after how long, by chance up to a tenth more or less, a client is asked to use another connection (GOAWAY): so that clients find new
	// servers and let go of old ones. Its calls end first. 0: 30 min. Negative: never.
	MaxConnectionAge time.Duration
	// MaxConnectionAgeGrace is how long calls on such a connection may go on; then they are cut off. 0: as long as they take.
	MaxConnectionAgeGrace time.Duration
	// MaxConnectionIdle is after how long without a call a client is asked to leave. 0: 15 min. Negative: never.
	MaxConnectionIdle time.Duration
	// ConnectTimeout bounds a client's TLS handshake and its first bytes of HTTP/2 (grpc.ConnectionTimeout, by default 120 s in gRPC). Those that are under
	// way when a drain begins hold up its GOAWAY for as long. 0: 5 s.
	ConnectTimeout time.Duration
	// Logger is given what Drain cut off. Nil: slog.Default, as it is in NewServer.
	Logger *slog.Logger
}

// Server makes the options of gRPC servers, and knows which calls they are at. Make it by NewServer.
type Server struct {
	config  ServerConfig
	running sync.Map     // method → *atomic.Int64
	madeUp  atomic.Int64 // of these, names that are no registered method's
	other   atomic.Int64 // calls of further ones
}

// NewServer refuses a ServerConfig that cannot work.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.MinTime < 0 || cfg.KeepAliveTimeout < 0 || cfg.MaxConnectionAgeGrace < 0 || cfg.ConnectTimeout < 0 {
		return nil, fmt.Errorf("herz/herzgrpc: server config: MinTime %v, KeepAliveTimeout %v, MaxConnectionAgeGrace %v, ConnectTimeout %v: none may be "+
			"negative; leave them 0 for the default", cfg.MinTime, cfg.KeepAliveTimeout, cfg.MaxConnectionAgeGrace, cfg.ConnectTimeout)
	}
	cfg.MinTime = cmp.Or(cfg.MinTime, DefaultServerMinTime)
	cfg.KeepAlive = cmp.Or(cfg.KeepAlive, DefaultServerKeepAlive)
	cfg.KeepAliveTimeout = cmp.Or(cfg.KeepAliveTimeout, DefaultServerKeepAliveTimeout)
	cfg.MaxConnectionAge = cmp.Or(cfg.MaxConnectionAge, DefaultServerMaxConnectionAge)
	cfg.MaxConnectionIdle = cmp.Or(cfg.MaxConnectionIdle, DefaultServerMaxConnectionIdle)
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, DefaultServerConnectTimeout)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Server{config: cfg}, nil
}

// never is what gRPC takes for never: its own default for what is off.
const never = time.Duration(1<<63 - 1)

// ServerOptions are the options for grpc.NewServer. Interceptors that stand before them see a call before it is counted.
func (s *Server) ServerOptions() []grpc.ServerOption {
	off := func(d time.Duration) time.Duration {
		if d < 0 {
			return never
		}
		return d
	}
	return []grpc.ServerOption{
		grpc.ConnectionTimeout(s.config.ConnectTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: s.config.MinTime, PermitWithoutStream: s.config.AllowIdlePings}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: off(s.config.MaxConnectionIdle), MaxConnectionAge: off(s.config.MaxConnectionAge), MaxConnectionAgeGrace: s.config.MaxConnectionAgeGrace,
			Time: off(s.config.KeepAlive), Timeout: s.config.KeepAliveTimeout,
		}),
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			n := s.of(info.FullMethod, true)
			n.Add(1)
			defer n.Add(-1)
			return next(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			n := s.of(info.FullMethod, srv != nil)
			n.Add(1)
			defer n.Add(-1)
			return next(srv, stream)
		}),
	}
}

// maxMadeUp bounds the names that clients choose.
const maxMadeUp = 1000

// of is how many calls of a method run. Where the server has a handler for unknown services, clients choose names, so that only the first of those are kept.
func (s *Server) of(name string, registered bool) *atomic.Int64 {
	if n, ok := s.running.Load(name); ok {
		return n.(*atomic.Int64)
	}
	if !registered && s.madeUp.Add(1) > maxMadeUp {
		s.madeUp.Add(-1)
		return &s.other
	}
	n, twice := s.running.LoadOrStore(name, new(atomic.Int64))
	if twice && !registered {
		s.madeUp.Add(-1)
	}
	return n.(*atomic.Int64)
}

// MethodCalls is how many calls of a method run.
type MethodCalls struct {
	Method string // package.Service/Method, or other
	Calls  int64
}

// Running lists the methods of which calls run now, in the order of names. Of methods that are not registered (grpc.UnknownServiceHandler), the first 1,000
// that were called have their names, and the others are "other".
func (s *Server) Running() []MethodCalls {
	var list []MethodCalls
	s.running.Range(func(name, n any) bool {
		if calls := n.(*atomic.Int64).Load(); calls > 0 {
			list = append(list, MethodCalls{plainName(name.(string)), calls})
		}
		return true
	})
	if calls := s.other.Load(); calls > 0 {
		list = append(list, MethodCalls{otherMethod, calls})
	}
	slices.SortFunc(list, func(a, b MethodCalls) int { return cmp.Compare(a.Method, b.Method) })
	return list
}

// ErrCutOff is the error of a Drain that had to cut calls off. What was cut off is in the [DrainError].
var ErrCutOff = errors.New("herz/herzgrpc: drain: calls were cut off")

// DrainError says what a Drain cut off.
type DrainError struct {
	Running []MethodCalls // when the time was over; empty where only connections were left
	Waited  time.Duration
}

// Error names the methods.
func (e *DrainError) Error() string {
	if len(e.Running) == 0 {
		return fmt.Sprintf("herz/herzgrpc: drain: after %v no call ran any more, but clients had not left: their connections were cut off",
			e.Waited.Round(time.Millisecond))
	}
	what := ""
	for _, m := range e.Running {
		what += fmt.Sprintf(" %s (%d)", m.Method, m.Calls)
	}
	return fmt.Sprintf("herz/herzgrpc: drain: after %v these calls still ran, and were cut off:%s; give Drain more time, or bound the calls",
		e.Waited.Round(time.Millisecond), what)
}

// Is matches ErrCutOff.
func (e *DrainError) Is(target error) bool { return target == ErrCutOff }

// Drain stops g gracefully: no new connections, no new calls, and those that run may end until ctx does. Then it cuts off what is left, and gives a
// *DrainError that says what that was. It ends half a second after ctx at the latest, and waits neither for handlers that go on after their context has ended
// nor for handshakes; the goroutines that it starts do. gRPC tells clients to leave when handshakes that are under way have ended (ConnectTimeout). g must have
// the options of s.
func (s *Server) Drain(ctx context.Context, g *grpc.Server) error {
	began := time.Now()
	if came(ctx, ended(g.GracefulStop)) {
		return nil
	}
	e := &DrainError{Running: s.Running(), Waited: time.Since(began)}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	came(soon, ended(g.Stop))
	s.config.Logger.Warn("herz: calls were cut off by a drain", "running", e.Running, "waited", e.Waited)
	return e
}

// came waits for done, not longer than ctx lasts, and reports whether it was closed, be it in the same moment.
func came(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// ended is closed when f has returned.
func ended(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}
