package herzws

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unique"

	"github.com/gobwas/ws"

	"herz.example/herz/conn"
	"herz.example/herz/registry"
)

// Server takes WebSockets and legacy heartbeats, as an http.Handler. The zero value works. It must not be copied after its first use.
type Server struct {
	// Config is read when the first request comes.
	Config Config

	once     sync.Once
	cfg      Config // with its defaults
	hub      *hub
	limits   atomic.Pointer[Limits]
	sw       *Switch
	devices  registry.Registry[string, device]
	legacy   atomic.Int64 // entries in legacy mode
	taken    atomic.Int64 // WebSockets, and upgrades under way
	closed   atomic.Bool
	failures failures
	counts   serverCounters
	lines    lineLimit

	// drains guards coming, arrived, and the decisions who is drained: the setting of the switch, and whether Shutdown has begun, are read under it and put in
	// force before the next decision. Nothing under it waits or calls out of the package. hub.mu and Conn.mu may be locked under it.
	drains  sync.Mutex
	coming  int    // upgrades under way
	arrived atZero // none is
}

// serverCounters are what Stats gives beside those of the hub.
type serverCounters struct {
	refused, badHandshakes, badOrigins, heartbeats, legacyOffered, expired, demoted, probes, probedBack, tlsFailed atomic.Uint64
}

// Stats are the numbers of a server at one moment. Those without a word are counted since its start.
type Stats struct {
	Conns          int    `json:"conns"`           // WebSockets now
	Legacy         int    `json:"legacy"`          // devices in legacy mode now
	Failing        int    `json:"failing"`         // peers that are offered the legacy mode alone now, for their failures
	Opened         uint64 `json:"opened"`          // WebSockets
	Closed         uint64 `json:"closed"`          //
	Received       uint64 `json:"received"`        // messages
	Sent           uint64 `json:"sent"`            // messages that Send accepted
	Dropped        uint64 `json:"dropped"`         // messages for slow consumers
	Slow           uint64 `json:"slow"`            // connections ended because the consumer was slow
	Pings          uint64 `json:"pings"`           //
	Timeouts       uint64 `json:"timeouts"`        // connections ended because nothing was heard
	MidFrame       uint64 `json:"mid_frame"`       // of these: a frame had begun
	Violations     uint64 `json:"violations"`      // connections ended because the peer broke the protocol
	Drained        uint64 `json:"drained"`         // connections closed by a flip of the switch or by Shutdown
	Refused        uint64 `json:"refused"`         // requests past a limit, or during Shutdown
	BadHandshakes  uint64 `json:"bad_handshakes"`  // upgrades that were malformed
	BadOrigins     uint64 `json:"bad_origins"`     // upgrades that CheckOrigin refused
	TLSFailed      uint64 `json:"tls_failed"`      // handshakes, see Server.TLSConfig
	Heartbeats     uint64 `json:"heartbeats"`      // legacy heartbeats that were answered
	LegacyOffered  uint64 `json:"legacy_offered"`  // upgrades that were answered by the legacy mode
	LegacyExpired  uint64 `json:"legacy_expired"`  // legacy devices whose heartbeats stayed away
	FailingOffered uint64 `json:"failing_offered"` // times a peer was given the legacy mode alone for its failures
	FailingProbes  uint64 `json:"failing_probes"`  // upgrades that were let through to see whether the peer can again
	FailingBack    uint64 `json:"failing_back"`    // of these, peers that could
}

func (s *Server) start() {
	s.once.Do(func() {
		s.cfg = s.Config.withDefaults()
		limits := s.cfg.Limits.withDefaults()
		s.limits.CompareAndSwap(nil, &limits)
		if s.sw = s.cfg.Switch; s.sw == nil {
			s.sw = new(Switch)
		}
		s.failures.cfg, s.failures.warn, s.failures.counts = s.cfg.Failing, s.warn, &s.counts
		c := s.cfg
		s.hub = &hub{
			interval: c.Heartbeat.Interval, grace: c.Heartbeat.Grace, closeTimeout: c.CloseTimeout, maxMessage: c.MaxMessage, queueBytes: c.QueueBytes, slow: c.Slow,
			workers: c.Workers, counts: new(counters), onMessage: c.OnMessage, onClose: c.OnClose, ended: s.ended, also: s.expire, keep: s.keep, born: time.Now(),
			alsoEvery: min(max(c.Heartbeat.Interval/4, 10*time.Millisecond), 5*time.Second),
		}
		s.sw.follow(s, s.flip)
	})
}

// keep has the sweep run while there are legacy devices, whose entries expire.
func (s *Server) keep() bool { return s.legacy.Load() > 0 && !s.closed.Load() }

// Switch is what decides the mode: that of the configuration, or the server's own.
func (s *Server) Switch() *Switch {
	s.start()
	return s.sw
}

// Limits are those in force.
func (s *Server) Limits() Limits {
	s.start()
	return *s.limits.Load()
}

// SetLimits changes them. Who is connected stays.
func (s *Server) SetLimits(l Limits) {
	s.start()
	l = l.withDefaults()
	s.limits.Store(&l)
}

// Stats are the numbers now.
func (s *Server) Stats() Stats {
	s.start()
	h, c := s.hub.counts, &s.counts
	st := Stats{
		Conns: s.hub.len(), Legacy: int(s.legacy.Load()), Opened: h.opened.Load(), Closed: h.closed.Load(), Received: h.received.Load(), Sent: h.sent.Load(),
		Dropped: h.dropped.Load(), Slow: h.slow.Load(), Pings: h.pings.Load(), Timeouts: h.timeouts.Load(), MidFrame: h.midFrame.Load(),
		Violations: h.violations.Load(),
		Drained:    h.drained.Load(), Refused: c.refused.Load(), BadHandshakes: c.badHandshakes.Load(), BadOrigins: c.badOrigins.Load(),
		TLSFailed:  c.tlsFailed.Load(),
		Heartbeats: c.heartbeats.Load(), LegacyOffered: c.legacyOffered.Load(), LegacyExpired: c.expired.Load(), FailingOffered: c.demoted.Load(),
		FailingProbes: c.probes.Load(), FailingBack: c.probedBack.Load(),
	}
	for _, p := range s.failures.list() {
		if p.Legacy {
			st.Failing++
		}
	}
	return st
}

// Failing lists the peers whose handshakes failed lately, by name.
func (s *Server) Failing() []FailingPeer {
	s.start()
	return s.failures.list()
}

// Status shows Stats, limits, failing peers and the setting of the switch as JSON, for GET. It changes nothing; put it where operators may look.
func (s *Server) Status() http.Handler {
	s.start()
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		sw := s.sw.load()
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(map[string]any{ // a reader that has left is no news
			"stats": s.Stats(), "limits": map[string]int{"conns": s.Limits().Conns, "legacy": s.Limits().Legacy}, "failing_peers": s.failures.list(),
			"enable_legacy_keep_alive": sw.all, "classes": sw.classes,
		})
	})
}

// Conns is a copy of the list of WebSockets.
func (s *Server) Conns() []*Conn {
	s.start()
	return s.hub.all()
}

// Broadcast sends a message to all WebSockets, without waiting for any: under SlowWait, too, it passes over those whose queue is full. Refused counts
// those.
func (s *Server) Broadcast(kind Kind, payload []byte) (sent, refused int) {
	if kind == Text && !utf8.Valid(payload) {
		return 0, s.hub.len()
	}
	frame := appendFrame(nil, ws.OpCode(kind), payload, false)
	for _, c := range s.Conns() {
		if room, err := c.offer(frame); room != nil || err != nil {
			refused++
			continue
		}
		sent++
	}
	return sent, refused
}

// ServeHTTP is Handler(nil).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.Handler(nil).ServeHTTP(w, r) }

// Handler is the pipeline in front of next: LegacyKeepAliveHandler, and behind it UpgradeHandler. What is neither a heartbeat nor an upgrade goes to
// next; without one it is answered 426.
func (s *Server) Handler(next http.Handler) http.Handler {
	return s.LegacyKeepAliveHandler(s.UpgradeHandler(next))
}

// UpgradeHandler makes a WebSocket of a request that asks for one, and hands all others to next.
func (s *Server) UpgradeHandler(next http.Handler) http.Handler {
	s.start()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case wantsUpgrade(r):
			s.upgrade(w, r)
		case next != nil:
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			http.Error(w, "herz/herzws: this is the address of a WebSocket: upgrade, or send HEAD where the legacy keep-alive is on", http.StatusUpgradeRequired)
		}
	})
}

// asker is who a request comes from, by its own words.
type asker struct{ device, class, host string }

func (s *Server) asker(r *http.Request) asker {
	return asker{s.cfg.Device(r), s.cfg.Class(r), hostOf(r.RemoteAddr)}
}

// longestName bounds the names that peers give, which are kept with what is counted of them.
const longestName = 256

// kept gives a copy whose names may be kept: they hold nothing else of the request. False: they are too long, and the request is answered.
func (a asker) kept(w http.ResponseWriter) (asker, bool) {
	if len(a.device) > longestName || len(a.class) > longestName {
		http.Error(w, "herz/herzws: the name of a device and its class, which may be the path, have "+strconv.Itoa(longestName)+" bytes at most",
			http.StatusBadRequest)
		return a, false
	}
	a.device, a.class = strings.Clone(a.device), strings.Clone(a.class)
	return a, true
}

// upgrade answers a request for a WebSocket.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	from, ok := s.asker(r).kept(w)
	if !ok {
		s.counts.badHandshakes.Add(1)
		return
	}
	if no := checkHandshake(r); no != nil {
		s.counts.badHandshakes.Add(1)
		s.failures.failed(from.key(), "the upgrade was malformed: "+no.what)
		for k, v := range no.header {
			w.Header().Set(k, v)
		}
		http.Error(w, "herz/herzws: "+no.what, no.status)
		return
	}
	if !s.cfg.CheckOrigin(r) {
		s.counts.badOrigins.Add(1)
		http.Error(w, "herz/herzws: pages of another origin may not connect; the server allows them by Config.CheckOrigin", http.StatusForbidden)
		return
	}
	if !s.enter() {
		s.refuse(w, "the server is shutting down")
		return
	}
	defer s.entered()
	if limit := s.Limits().Conns; int(s.taken.Add(1)) > limit {
		s.taken.Add(-1)
		s.refuse(w, "all of "+strconv.Itoa(max(limit, 0))+" WebSocket connections are taken")
		return
	}
	nc, early, err := takeOver(w, r, chosen(s.cfg.Subprotocols, r))
	if err != nil {
		s.taken.Add(-1)
		if errors.Is(err, http.ErrNotSupported) {
			http.Error(w, "herz/herzws: the connection cannot be taken over: a middleware hides http.Hijacker; give its writer an Unwrap method",
				http.StatusInternalServerError)
		}
		return
	}
	var c *Conn
	if s.cfg.Engine != Portable {
		c = newEpoll(s.hub, nc)
	}
	if c != nil {
		_ = nc.Close() // the descriptor that is left is a second one of the same socket
	} else {
		c = newPortable(s.hub, nc)
	}
	s.open(c, from, early)
}

// enter notes an upgrade that begins. False: the server takes nobody any more.
func (s *Server) enter() bool {
	s.drains.Lock()
	defer s.drains.Unlock()
	if s.closed.Load() {
		return false
	}
	s.coming++
	return true
}

// entered notes that it has its place, or has come to nothing.
func (s *Server) entered() {
	s.drains.Lock()
	defer s.drains.Unlock()
	if s.coming--; s.coming == 0 {
		s.arrived.reached()
	}
}

// settled gives a channel that is closed when no upgrade is under way.
func (s *Server) settled() <-chan struct{} {
	s.drains.Lock()
	defer s.drains.Unlock()
	return s.arrived.wait(s.coming)
}

// open gives a new connection its place, and begins to read it.
func (s *Server) open(c *Conn, from asker, early []byte) {
	c.class = unique.Make(from.class)
	c.from = from.host
	if _, known := s.failures.offered(false, from.key()); known {
		c.first = func() { s.failures.cleared(from.key()) }
	}
	c.seen.Store(int64(s.hub.now()))
	s.register(c, from.device)
	c.busy.Store(true) // it is not read before OnOpen has returned
	s.hub.add(c)       // from here on others see it: what is not atomic or under its lock is not written any more
	c.after()          // who found it by its name before that, and closed it, could not have it looked at
	whole := false
	defer func() {
		if !whole { // OnOpen panics, which net/http tells, and goes on
			c.abort(&CloseError{Code: CodeAbnormal, Ours: true, Cause: conn.Error, Reason: "OnOpen did not return"})
		}
		c.begin(early)
	}()
	if s.cfg.OnOpen != nil {
		s.cfg.OnOpen(c)
	}
	whole = true
	// A flip or Shutdown between the decision and the place in the table did not see it.
	s.drains.Lock()
	defer s.drains.Unlock()
	switch {
	case s.closed.Load():
		c.drainBy(CodeGoingAway, s.hub.now())
	case s.sw.Enabled(from.class):
		c.drainBy(CodeServiceRestart, s.hub.now())
	}
}

// ended is told by the hub of a connection that has ended.
func (s *Server) ended(c *Conn, why *CloseError) {
	s.taken.Add(-1)
	if e := c.entry.Load(); e != nil {
		e.Delete()
	}
	if why.Cause == conn.Misuse || why.Cause == conn.Heartbeat && !c.heard {
		s.failures.failed(peerKey{c.Device(), c.from}, why.Reason)
	}
	if !why.Clean && why.Cause != conn.Drained {
		s.warn("herz: a WebSocket ended without a goodbye", "peer", c.RemoteAddr().String(), "device", c.Device(), "cause", why.Cause.String(), "code", int(why.Code),
			"reason", why.Reason, "error", why.Err)
	}
}

// refuse turns a peer away.
func (s *Server) refuse(w http.ResponseWriter, why string) {
	s.counts.refused.Add(1)
	seconds := int((s.cfg.RetryAfter + time.Second - 1) / time.Second)
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	http.Error(w, "herz/herzws: "+why+"; come again in "+strconv.Itoa(seconds)+" s", http.StatusServiceUnavailable)
	s.warn("herz: a peer was turned away", "why", why)
}

// flip drains the WebSockets that the switch wants in legacy mode, spread over time, and spares those that it wants as they are.
func (s *Server) flip() {
	s.drains.Lock()
	defer s.drains.Unlock()
	if s.closed.Load() {
		return
	}
	now := s.hub.now()
	for _, c := range s.hub.all() {
		if s.sw.Enabled(c.Class()) {
			c.drainBy(CodeServiceRestart, now+s.spread())
		} else {
			c.undrain()
		}
	}
}

// spread is a random part of Config.Spread.
func (s *Server) spread() time.Duration {
	if s.cfg.Spread < 0 {
		return 0
	}
	return rand.N(s.cfg.Spread) //nolint:gosec // a time, and no secret
}

// Shutdown takes nobody any more, closes all WebSockets with code 1001, spread over Config.Spread, and waits until all have ended and all callbacks
// have returned. When ctx ends first, what is left is cut, and its error returned. It does not touch the http.Server: shut that down after it.
func (s *Server) Shutdown(ctx context.Context) error {
	s.start()
	s.sw.leave(s)
	s.drainAll()
	for e := range s.devices.All() {
		if e.DeleteIf(func(d device) bool { return d.mode == Legacy }) {
			s.legacy.Add(-1)
		}
	}
	s.hub.nudge()
	var cut error
	for _, wait := range []func() <-chan struct{}{s.settled, s.hub.gone, s.hub.still} {
		select {
		case <-wait():
		case <-ctx.Done():
			cut = ctx.Err()
			for _, c := range s.hub.all() {
				c.abort(&CloseError{Code: CodeAbnormal, Ours: true, Cause: conn.Drained, Reason: "the time of Shutdown ran out"})
			}
		}
	}
	return cut
}

// drainAll is the beginning of Shutdown.
func (s *Server) drainAll() {
	s.drains.Lock()
	defer s.drains.Unlock()
	s.closed.Store(true)
	now := s.hub.now()
	for _, c := range s.hub.all() {
		c.drainBy(CodeGoingAway, now+s.spread())
	}
}

// warn writes a line, ten a second at most.
func (s *Server) warn(msg string, args ...any) {
	missed, ok := s.lines.take(time.Now())
	if !ok {
		return
	}
	if missed > 0 {
		args = append(args, "suppressed", missed)
	}
	s.cfg.Logger.Log(context.Background(), slog.LevelWarn, msg, args...)
}

// lineLimit bounds log lines.
type lineLimit struct {
	// mu guards the two numbers. Nothing is called under it.
	mu     sync.Mutex
	second int64
	lines  int
	missed int
}

const linesPerSecond = 10

func (l *lineLimit) take(now time.Time) (missed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := now.Unix(); s != l.second {
		l.second, l.lines = s, 0
	}
	if l.lines++; l.lines > linesPerSecond {
		l.missed++
		return 0, false
	}
	missed, l.missed = l.missed, 0
	return missed, true
}
