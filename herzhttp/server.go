package herzhttp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Defaults of [ServerConfig] and of what a [Server] sets in its *http.Server.
const (
	// DefaultHealthPath is where Kubernetes' own servers answer whether they want requests. It is not for a liveness probe: who fails one of those is killed.
	DefaultHealthPath = "/readyz"
	// NoHealthPath as ServerConfig.HealthPath: the health check is where the program puts [Server.Health].
	NoHealthPath = "-"
	// DefaultReadHeaderTimeout is the least that NewServer sets for how long a client may take for its headers. It sets more where the balancer keeps idle
	// connections for longer.
	DefaultReadHeaderTimeout = 10 * time.Second
)

// ErrCut is returned where somebody did not want to wait for the end of a drain: the second signal of [Run], or [Server.Close].
var ErrCut = errors.New("herz/herzhttp: the server was closed before its drain was over")

// ServerConfig says how a server leaves. The zero value works. Nothing of it may change while the server runs.
type ServerConfig struct {
	// Alignment are the times of the balancer, of whoever stops the process, and of the requests. What does not fit is logged by NewServer. The
	// IdleTimeout of the *http.Server, where it is set, goes before ServerIdle.
	Alignment Alignment
	// HealthPath is the path of the health check, which goes before the program's own handler. Empty: DefaultHealthPath. See NoHealthPath.
	HealthPath string
	// Pools are drained, side by side, when the last request has ended. Nil: none.
	Pools []Drainer
	// Borrowers tells whose requests hold what is still lent; give the same to the pools as their observer. The server puts the trace of a
	// request's traceparent header into its context then ([TraceID]). Nil: nobody does.
	Borrowers *Borrowers
	// Logger is told of the steps of the end. Nil: slog.Default.
	Logger *slog.Logger
}

// Server is an *http.Server that leaves without a lost request. It serves once.
type Server struct {
	cfg      ServerConfig
	http     *http.Server
	next     http.Handler // the program's
	log      *slog.Logger
	inFlight atomic.Int64
	checked  atomic.Bool               // the health check was asked since it fails
	came     atomic.Pointer[time.Time] // when the newest other request came, since then

	leaving  atomic.Bool   // who sets it ends the server
	noticed  atomic.Bool   // the balancer must have noticed it
	draining chan struct{} // closed when it leaves
	ended    chan struct{} // closed when Shutdown is over; result is set before
	result   error
	hard     context.Context //nolint:containedctx // it is the life of this server, ended by Close
	cut      context.CancelCauseFunc
}

// NewServer makes a server around hs, which belongs to it from now on: its Handler is wrapped, and its IdleTimeout, where it is 0, is set to
// Alignment.ServerIdle. Its ReadHeaderTimeout, where that and ReadTimeout are 0, is set to 5 s more than Alignment.BalancerIdle, and to 10 s at least: net/http
// counts it from the beginning of a connection, and balancers connect in advance. All else of hs is as the program set it: address, TLS, protocols, hooks. Nil:
// a new one. Its Handler nil: http.DefaultServeMux. It serves by TLS where hs.TLSConfig has a certificate. Errors: Notice is none of its constants.
func NewServer(hs *http.Server, cfg ServerConfig) (*Server, error) {
	if int(cfg.Alignment.Notice) >= numNotices {
		return nil, fmt.Errorf("herz/herzhttp: new server: Alignment.Notice is %v, which is none", cfg.Alignment.Notice)
	}
	if hs == nil {
		hs = &http.Server{} //nolint:gosec // ReadHeaderTimeout is set below
	}
	switch {
	case hs.IdleTimeout > 0:
		cfg.Alignment.ServerIdle = hs.IdleTimeout
	case hs.IdleTimeout < 0: // as long as the peer likes
		cfg.Alignment.ServerIdle = math.MaxInt64
	}
	cfg.Alignment = cfg.Alignment.Resolved()
	if hs.IdleTimeout == 0 {
		hs.IdleTimeout = cfg.Alignment.ServerIdle
	}
	if hs.ReadHeaderTimeout == 0 && hs.ReadTimeout == 0 {
		hs.ReadHeaderTimeout = max(DefaultReadHeaderTimeout, cfg.Alignment.BalancerIdle+idleMargin)
	}
	if cfg.HealthPath == "" {
		cfg.HealthPath = DefaultHealthPath
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Server{cfg: cfg, http: hs, next: hs.Handler, log: cfg.Logger, draining: make(chan struct{}), ended: make(chan struct{})}
	if s.next == nil {
		s.next = http.DefaultServeMux
	}
	s.hard, s.cut = context.WithCancelCause(context.Background())
	hs.Handler = http.HandlerFunc(s.handle)
	for _, f := range append(cfg.Alignment.Check(), cfg.Alignment.checkHeader(hs)...) {
		s.log.Warn("herz: the times of this server do not fit those around it", "severity", f.Severity.String(), "change", f.Field, "why", f.Text)
	}
	return s, nil
}

// Alignment is what the server goes by, every default in its place.
func (s *Server) Alignment() Alignment { return s.cfg.Alignment }

// Draining is closed when the server begins to leave. Answers without an end (server-sent events, long polls) and workers have to end then;
// they count as requests in flight, or hold connections of pools.
func (s *Server) Draining() <-chan struct{} { return s.draining }

// Health is the health check: 200, and 503 from the moment on at which the server begins to leave.
func (s *Server) Health() http.Handler { return http.HandlerFunc(s.health) }

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if s.leaving.Load() {
		s.checked.Store(true)
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("draining\n")) // who asked may have gone
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// handle is the handler of the *http.Server.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	s.inFlight.Add(1)
	if r.ProtoMajor < 2 && r.Header.Get("Upgrade") != "" {
		u := &upgrading{ResponseWriter: w, of: s}
		defer u.end()
		w = u
	} else {
		defer s.inFlight.Add(-1)
	}
	leaving := s.leaving.Load()
	if leaving && s.givesUp(r) {
		w.Header().Set("Connection", "close")
	}
	if r.URL.Path == s.cfg.HealthPath && r.URL.Path != NoHealthPath {
		s.health(w, r)
		return
	}
	if leaving {
		now := time.Now()
		s.came.Store(&now)
	}
	if leaving && s.cfg.Alignment.Notice == ByAnswers && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		http.Error(w, "draining: ask another server", http.StatusServiceUnavailable)
		return
	}
	if s.cfg.Borrowers != nil {
		if id := traceOf(r.Header.Get("Traceparent")); id != "" {
			r = r.WithContext(WithTraceID(r.Context(), id))
		}
	}
	s.next.ServeHTTP(w, r)
}

// upgrading is the ResponseWriter of a request that may become another protocol. When its handler takes the connection, it is no request any more: net/http
// does not wait for it, and does not cut it.
type upgrading struct {
	http.ResponseWriter
	of   *Server
	over atomic.Bool
}

// Hijack lets the handler take the connection.
func (u *upgrading) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err == nil {
		u.end()
	}
	return nc, rw, err
}

// Flush sends what was written.
func (u *upgrading) Flush() { _ = http.NewResponseController(u.ResponseWriter).Flush() } // as http.Flusher has it

// Unwrap is for http.ResponseController.
func (u *upgrading) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// end says that the request is no longer in flight, once.
func (u *upgrading) end() {
	if !u.over.Swap(true) {
		u.of.inFlight.Add(-1)
	}
}

// givesUp says that the answer to a request is to be the last of its connection. HTTP/1.1: nobody sends another request into its end then (RFC 9112, 9.6),
// unless it is to become another protocol. HTTP/2: net/http makes a GOAWAY of it, which refuses every stream that is under way to the server by then. To
// repeat those is safe, but a balancer does so only if it is told to, and until it has noticed it opens new connections. So it goes out when that is over.
func (s *Server) givesUp(r *http.Request) bool {
	if r.ProtoMajor >= 2 {
		return s.noticed.Load()
	}
	return r.Header.Get("Upgrade") == ""
}

// Run listens on the address of the *http.Server and serves until ctx ends, then leaves as Shutdown does. See [Run] for one that listens to signals, too. It
// returns nil when nothing was cut.
func (s *Server) Run(ctx context.Context) error {
	addr := s.http.Addr
	if addr == "" {
		addr = ":http"
		if s.secure() {
			addr = ":https"
		}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("herz/herzhttp: listen: %w", err)
	}
	return s.Serve(ctx, ln)
}

// Serve is Run on a listener, which it closes. When the listener breaks, the server leaves at once, without a delay that nobody could use.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	served := make(chan error, 1)
	go func() {
		if s.secure() {
			served <- s.http.ServeTLS(ln, "", "")
			return
		}
		served <- s.http.Serve(ln)
	}()
	select {
	case <-ctx.Done():
		err := s.Shutdown(context.WithoutCancel(ctx))
		return errors.Join(err, s.unexpected(<-served))
	case broken := <-served:
		err := s.shutdown(context.WithoutCancel(ctx), false) // after a Shutdown or Close, this is its result
		return errors.Join(s.unexpected(broken), err)
	}
}

// unexpected is the error with which serving ended, unless that is the end that was wanted.
func (s *Server) unexpected(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("herz/herzhttp: serve: %w", err)
}

func (s *Server) secure() bool {
	c := s.http.TLSConfig
	return c != nil && (len(c.Certificates) > 0 || c.GetCertificate != nil || c.GetConfigForClient != nil)
}
