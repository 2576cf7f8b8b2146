package herzws

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Defaults of Failing.
const (
	DefaultThreshold = 5
	DefaultWindow    = 10 * time.Minute
	DefaultLegacyFor = 10 * time.Minute
)

// Failing says when a peer is offered the legacy mode alone. What counts is a TLS handshake that failed after the peer had begun it (see
// Server.TLSConfig), an upgrade that was refused because it is malformed, frames against the protocol, and a WebSocket on which nothing was ever
// heard. A whole frame that arrives clears the account.
//
// A peer is the name of a device together with its address, or without a name the address. Behind a proxy or NAT all who have no name are one peer, and a
// name is what Config.Device says: where strangers share an address with devices, let it give names that were checked.
type Failing struct {
	// Threshold is how many failures within Window it takes, without a success between them. 0: 5. Negative: no peer is offered the legacy mode for its
	// failures.
	Threshold int
	// Window is the time in which they count. 0: 10 min.
	Window time.Duration
	// LegacyFor is how long the peer is offered the legacy mode alone. After that its next upgrade is let through, as a probe: one that fails prolongs
	// the time, doubled up to an hour. 0: 10 min.
	LegacyFor time.Duration
}

func (f Failing) withDefaults() Failing {
	if f.Threshold == 0 {
		f.Threshold = DefaultThreshold
	}
	if f.Window <= 0 {
		f.Window = DefaultWindow
	}
	if f.LegacyFor <= 0 {
		f.LegacyFor = DefaultLegacyFor
	}
	return f
}

// FailingPeer is a peer whose handshakes failed.
type FailingPeer struct {
	Peer     string    `json:"peer"` // the name of the device, or the address without the port
	Addr     string    `json:"addr"` // from where it came, without the port
	Failures int       `json:"failures"`
	Last     string    `json:"last"`   // what went wrong last
	Legacy   bool      `json:"legacy"` // it is offered the legacy mode alone
	Until    time.Time `json:"until"`  // when it may try again; zero: it is not held back
}

const (
	mostFailing    = 4096 // peers that are kept account of
	longestFailing = time.Hour
	mostShaking    = 1 << 16 // TLS handshakes under way
)

// peerKey is whose account it is. A device has one for each address it comes from, so that nobody elsewhere can use its name up; a failure without a name
// is on the account of the address alone, and holds back nobody who has a name.
type peerKey struct{ device, host string }

// key is on whose account a request's failure is.
func (a asker) key() peerKey { return peerKey{a.device, a.host} }

// name is by what it is shown.
func (k peerKey) name() string {
	if k.device != "" {
		return k.device
	}
	return k.host
}

// account is that of one peer.
type account struct {
	failures int
	began    time.Time
	last     string
	until    time.Time     // legacy alone until then; zero: not yet
	penalty  time.Duration // how long the newest time was
	probing  bool          // an upgrade was let through
}

// counts is since when its window runs: the first failure, or the end of the time for which it was held back.
func (a *account) counts() time.Time {
	if a.until.IsZero() {
		return a.began
	}
	return a.until
}

// failures are the accounts of a server.
type failures struct {
	cfg    Failing
	warn   func(msg string, args ...any)
	counts *serverCounters

	// mu guards the accounts and the TLS handshakes under way. No call out of the package happens under it.
	mu      sync.Mutex
	peers   map[peerKey]*account
	shaking map[net.Conn]bool
}

// failed puts a failure on the account of a peer.
func (f *failures) failed(peer peerKey, what string) {
	if peer.host == "" || f.cfg.Threshold < 0 {
		return
	}
	now := time.Now()
	f.mu.Lock()
	a := f.peers[peer]
	if a == nil || now.Sub(a.counts()) > f.cfg.Window {
		f.roomLocked(now)
		a = &account{began: now}
		f.peers[peer] = a
	}
	a.failures++
	a.last = what
	// After its time one failure is enough, whether an upgrade was let through or not: who fails in TLS never sends one.
	held := a.until.IsZero() && a.failures >= f.cfg.Threshold || !a.until.IsZero() && !now.Before(a.until)
	if held {
		a.penalty = min(max(f.cfg.LegacyFor, 2*a.penalty), max(longestFailing, f.cfg.LegacyFor))
		a.until, a.probing = now.Add(a.penalty), false
	}
	n, penalty := a.failures, a.penalty
	f.mu.Unlock()
	if held {
		f.counts.demoted.Add(1)
		f.warn("herz: a peer's handshakes fail, and it is offered the legacy keep-alive alone", "peer", peer.name(), "from", peer.host,
			"failures", n, "last", what, "for", penalty)
	}
}

// roomLocked makes room for one more account.
func (f *failures) roomLocked(now time.Time) {
	if f.peers == nil {
		f.peers = map[peerKey]*account{}
	}
	if len(f.peers) < mostFailing {
		return
	}
	for peer, a := range f.peers {
		if now.Sub(a.counts()) > f.cfg.Window {
			delete(f.peers, peer)
		}
	}
	for peer := range f.peers {
		if len(f.peers) < mostFailing {
			return
		}
		delete(f.peers, peer) // any: somebody who fails so often comes back
	}
}

// offered says whether a peer is offered the legacy mode alone. An upgrade after its time is let through, and known is true: its first frame clears the
// account. Upgrade false is a heartbeat, which probes nothing.
//
// An upgrade is held back by the peer's own account only. Heartbeats are answered for that of the address, too: a TLS handshake that fails tells no name,
// and the device may have one.
func (f *failures) offered(upgrade bool, peer peerKey) (legacy, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	own, shared := f.peers[peer], f.peers[peerKey{host: peer.host}]
	known = own != nil || shared != nil
	switch {
	case own != nil && now.Before(own.until):
		return true, true
	case !upgrade:
		return shared != nil && now.Before(shared.until), known
	case own != nil && !own.until.IsZero() && !own.probing:
		own.probing = true
		f.counts.probes.Add(1)
	}
	return false, known
}

// cleared closes the account of a peer, and that of its address, unless that is held back now.
func (f *failures) cleared(peer peerKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closeLocked(peer)
	shared := peerKey{host: peer.host}
	if a := f.peers[shared]; a != nil && !time.Now().Before(a.until) {
		f.closeLocked(shared)
	}
}

func (f *failures) closeLocked(peer peerKey) {
	if a := f.peers[peer]; a != nil {
		if !a.until.IsZero() {
			f.counts.probedBack.Add(1)
		}
		delete(f.peers, peer)
	}
}

// list is a copy of the accounts.
func (f *failures) list() []FailingPeer {
	f.mu.Lock()
	now := time.Now()
	all := make([]FailingPeer, 0, len(f.peers))
	for peer, a := range f.peers {
		all = append(all, FailingPeer{peer.name(), peer.host, a.failures, a.last, now.Before(a.until), a.until})
	}
	f.mu.Unlock()
	slices.SortFunc(all, func(a, b FailingPeer) int {
		return cmp.Or(strings.Compare(a.Peer, b.Peer), strings.Compare(a.Addr, b.Addr))
	})
	return all
}

// hostOf is an address without its port.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

// TLSConfig gives a copy of a TLS configuration that tells the server of handshakes that have begun; with ConnState it sees those that fail. A
// connection that is closed before it has said anything, as a balancer's check is, does not count.
//
//	srv := &http.Server{Handler: ws.Handler(nil), TLSConfig: ws.TLSConfig(cfg), ConnState: ws.ConnState(nil)}
func (s *Server) TLSConfig(cfg *tls.Config) *tls.Config {
	s.start()
	f := &s.failures
	own := cfg.Clone()
	next := own.GetConfigForClient
	own.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		f.mu.Lock()
		if f.shaking == nil || len(f.shaking) >= mostShaking { // past that the hook ConnState is missing
			f.shaking = map[net.Conn]bool{}
		}
		f.shaking[hello.Conn] = true
		f.mu.Unlock()
		if next != nil {
			return next(hello)
		}
		return nil, nil //nolint:nilnil // crypto/tls: nil means the configuration there is
	}
	return own
}

// ConnState gives the hook of an http.Server, for TLSConfig; next is called after it and may be nil.
func (s *Server) ConnState(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	s.start()
	f := &s.failures
	return func(nc net.Conn, state http.ConnState) {
		if t, ok := nc.(*tls.Conn); ok && state != http.StateNew && state != http.StateIdle {
			f.mu.Lock()
			began := f.shaking[t.NetConn()]
			delete(f.shaking, t.NetConn())
			f.mu.Unlock()
			if began && state == http.StateClosed && !t.ConnectionState().HandshakeComplete {
				s.counts.tlsFailed.Add(1)
				f.failed(peerKey{host: hostOf(nc.RemoteAddr().String())}, "the TLS handshake failed")
			}
		}
		if next != nil {
			next(nc, state)
		}
	}
}
