package herzhttp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"herz.example/herz/pool"
)

// ErrClosed is what a request gets from a Transport that was closed or is being drained.
var ErrClosed = errors.New("herz/herzhttp: the transport is closed")

// Transport is an http.RoundTripper over pools of guarded connections, one pool for each scheme and address. It is made by New.
type Transport struct {
	cfg              Config
	base             *http.Transport
	baseHTTP1        *http.Transport // the same for requests that ask for an upgrade, which HTTP/2 does not have
	unencryptedHTTP2 bool            // "http" means HTTP/2 with prior knowledge: nothing is agreed on without TLS, so that HTTP/1 goes before

	open atomic.Int64 // connections
	busy atomic.Int64 // connections with at least one request
	kept atomic.Int64 // connections that MinIdle asks for, as it was known last

	hosts sync.Map // hostKey → *visit
	// recent is the newest one that was asked for: a look at it needs no hash and no allocation.
	recent atomic.Pointer[visit]

	// mu guards what follows. Under it pools are asked for their numbers, and never made or closed.
	mu     sync.Mutex
	all    []*host
	made   int // since hosts were last looked through for those to forget
	closed bool
}

// visit is a host as requests name it.
type visit struct {
	key  hostKey
	host *host
}

// hostKey is how a request names its host, so that a request costs no text.
type hostKey struct {
	scheme, host string
	http1        bool // the request needs HTTP/1.1 where HTTP/2 may be agreed on
}

// forgetAfter is how long a host without a connection is remembered.
var forgetAfter = time.Minute // tests set it

// New makes a Transport. An error says what in cfg cannot work.
func New(cfg Config) (*Transport, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if _, ok := http.DefaultTransport.(*http.Transport); cfg.Base == nil && !ok {
		return nil, fmt.Errorf("herz/herzhttp: http.DefaultTransport is a %T and not an *http.Transport: give Config.Base", http.DefaultTransport)
	}
	t := &Transport{cfg: cfg, base: newBase(cfg)}
	p := t.base.Protocols
	t.baseHTTP1 = onlyHTTP1(newBase(cfg))
	t.unencryptedHTTP2 = p.UnencryptedHTTP2() && !p.HTTP1()
	return t, nil
}

// speaksHTTP2 reports whether connections for scheme may turn out to be shared.
func (t *Transport) speaksHTTP2(scheme string) bool {
	if scheme == "http" {
		return t.unencryptedHTTP2
	}
	return t.base.Protocols.HTTP2()
}

// needsHTTP1 reports whether req has to go over a connection on which HTTP/2 was not offered: it asks for an upgrade (RFC 9110 §7.8), as a WebSocket does.
func (t *Transport) needsHTTP1(req *http.Request) bool {
	return len(req.Header["Upgrade"]) > 0 && req.URL != nil && req.URL.Scheme == "https" && t.speaksHTTP2("https")
}

// RoundTrip sends one request and gives its answer, as http.RoundTripper asks. See the package for what is repeated and what is not.
//
// Errors: [ErrClosed]; a [*pool.ExhaustedError] or [*pool.DialError] when there was no connection; an [*AmbiguousError] when the request may
// have been executed; those of net/http.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	r, err := t.begin(req)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	for {
		resp, err := r.try()
		if err == nil {
			return resp, nil
		}
		if final := r.again(err); final != nil {
			return nil, final
		}
		r.pause(err)
	}
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// host finds the pool for a URL, or makes it.
func (t *Transport) host(u *url.URL, http1 bool) (*host, error) {
	if u == nil {
		return nil, errors.New("herz/herzhttp: the request has no URL")
	}
	if v := t.recent.Load(); v != nil && v.key.scheme == u.Scheme && v.key.host == u.Host && v.key.http1 == http1 && !v.host.left.Load() {
		return v.host, v.host.open()
	}
	if known, ok := t.hosts.Load(hostKey{u.Scheme, u.Host, http1}); ok {
		v := known.(*visit)
		t.recent.Store(v)
		return v.host, v.host.open()
	}
	address, err := addressOf(u)
	if err != nil {
		return nil, err
	}
	h, forgotten := t.meet(hostKey{u.Scheme, u.Host, http1}, address)
	for _, f := range forgotten {
		_ = f.pool.Close() // who has it in hand gets ErrClosed and asks for the host again
		f.gone()
	}
	if h == nil {
		return nil, ErrClosed
	}
	if err := h.open(); err != nil {
		return nil, err
	}
	if t.isClosed() { // Close may have come between, and not have seen the pool
		_ = h.pool.Close()
		h.gone()
		return nil, ErrClosed
	}
	return h, nil
}

func (t *Transport) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// meet notes a host, if it is a new one, and then may forget others, whose pools the caller closes. Nil: the transport is closed.
func (t *Transport) meet(key hostKey, address string) (h *host, forgotten []*host) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, nil
	}
	if h = t.knownLocked(key.scheme, address, key.http1); h == nil {
		h = &host{of: t, scheme: key.scheme, address: address, http1: key.http1, made: make(chan struct{})}
		forgotten = t.forgetLocked()
		t.all = append(t.all, h)
	}
	h.lastUse.Store(clock())
	t.hosts.Store(key, &visit{key, h})
	return h, forgotten
}

func (t *Transport) knownLocked(scheme, address string, http1 bool) *host {
	for _, h := range t.all {
		if h.scheme == scheme && h.address == address && h.http1 == http1 {
			return h
		}
	}
	return nil
}

// addressOf is the host and port that a URL leads to.
func addressOf(u *url.URL) (string, error) {
	name, port := u.Hostname(), u.Port()
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("herz/herzhttp: %q: the scheme is neither http nor https", u.Redacted())
	case name == "":
		return "", fmt.Errorf("herz/herzhttp: %q has no host", u.Redacted())
	case port == "" && u.Scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	for i := range len(name) {
		if name[i] >= 0x80 {
			return "", fmt.Errorf("herz/herzhttp: the host %q is not ASCII: write it in Punycode (golang.org/x/net/idna)", name)
		}
	}
	return net.JoinHostPort(name, port), nil
}

// forgetEvery is how many new hosts there are between two looks for those that nobody uses any more.
const forgetEvery = 32

// forgetLocked lets go of hosts without connections, so that somebody who visits many keeps few.
func (t *Transport) forgetLocked() (forgotten []*host) {
	if t.made++; t.made < forgetEvery {
		return nil
	}
	t.made = 0
	now := clock()
	t.all = slices.DeleteFunc(t.all, func(h *host) bool {
		if !h.unused(now) {
			return false
		}
		h.left.Store(true)
		t.hosts.Range(func(key, value any) bool {
			if value.(*visit).host == h {
				t.hosts.Delete(key)
			}
			return true
		})
		forgotten = append(forgotten, h)
		return true
	})
	return forgotten
}

// trimScan is how many hosts are looked at for the one to give up a connection.
const trimScan = 64

// tooMany reports whether more connections rest than MaxIdle and MinIdle ask for.
func (t *Transport) tooMany() bool {
	return t.open.Load()-t.busy.Load()-t.kept.Load() > int64(t.cfg.MaxIdle)
}

// trim closes idle connections until no more are left than may be, those first that have rested longest.
func (t *Transport) trim() {
	t.reckon()
	for t.tooMany() {
		hosts := t.some()
		if len(hosts) == 0 {
			return
		}
		oldest := slices.MaxFunc(hosts, func(a, b *host) int { return cmp.Compare(a.pool.IdleLongest(), b.pool.IdleLongest()) })
		if oldest.pool.TrimIdle(1) == 0 {
			return
		}
	}
}

// reckon adds up what MinIdle asks for now: limits may have changed since it was last known.
func (t *Transport) reckon() {
	t.mu.Lock()
	defer t.mu.Unlock()
	sum := 0
	for _, h := range opened(t.all) {
		sum += h.pool.Limits().MinIdle
	}
	t.kept.Store(int64(sum))
}

// some gives trimScan hosts at most, and the next time others.
func (t *Transport) some() []*host {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.all), trimScan)
	list := opened(t.all[:n])
	if n < len(t.all) {
		t.all = append(t.all[n:], t.all[:n]...)
	}
	return list
}

// each gives the hosts as they are now.
func (t *Transport) each() []*host {
	t.mu.Lock()
	defer t.mu.Unlock()
	return opened(t.all)
}

// opened gives those that have their pool.
func opened(all []*host) (list []*host) {
	for _, h := range all {
		if h.ready.Load() {
			list = append(list, h)
		}
	}
	return list
}

// CloseIdleConnections closes the connections that rest, except those that MinIdle asks for. (*http.Client).CloseIdleConnections calls it.
func (t *Transport) CloseIdleConnections() {
	for _, h := range t.each() {
		h.pool.TrimIdle(h.pool.Limits().MaxOpen)
	}
}

// Pools are the pools of the hosts that are in use now, for the board and for collectors.
func (t *Transport) Pools() []pool.Source {
	var list []pool.Source
	for _, h := range t.each() {
		list = append(list, h.pool)
	}
	return list
}

// Pool is that of a scheme ("http", "https") and an address with port; false when it is not in use. Its limits may be changed. Requests that ask for an upgrade
// where others may get HTTP/2 have a pool of their own, which Pools lists.
func (t *Transport) Pool(scheme, address string) (pool.Source, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.knownLocked(scheme, address, false); h != nil && h.ready.Load() {
		return h.pool, true
	}
	return nil, false
}

// WarmUp dials until the host of rawURL has max(MinIdle, KeepWarm) connections.
func (t *Transport) WarmUp(ctx context.Context, rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return fmt.Errorf("herz/herzhttp: warm up: %w", err)
	}
	h, err := t.host(u, false)
	if err != nil {
		return err
	}
	return h.pool.WarmUp(ctx)
}

// Drain ends the transport gently: new requests get ErrClosed, and Drain waits until those under way have ended and their bodies are closed. When ctx ends
// first it returns an error that names who still holds connections; Close may follow.
func (t *Transport) Drain(ctx context.Context) error {
	return t.end(func(h *host) error { return h.pool.Drain(ctx) })
}

// Close ends the transport at once: new requests get ErrClosed, idle connections are closed, others when their request has ended.
func (t *Transport) Close() error {
	return t.end(func(h *host) error { return h.pool.Close() })
}

// end closes all pools side by side.
func (t *Transport) end(one func(*host) error) error {
	t.mu.Lock()
	t.closed = true
	all := opened(t.all)
	t.mu.Unlock()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, h := range all {
		wg.Go(func() {
			if errs[i] = one(h); errs[i] == nil {
				h.gone()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
