package herzhttp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"herz.example/herz/guard"
)

// dial makes one connection to the host.
func (h *host) dial(ctx context.Context) (*link, error) {
	what := &errand{host: h}
	ctx, capture := guard.WithCapture(withErrand(ctx, what))
	watch := &dialWatch{spoken: func() { what.heard(capture.Conn()) }}
	ctx = httptrace.WithClientTrace(ctx, watch.trace())
	cc, err := h.base().NewClientConn(ctx, h.scheme, h.address)
	d := watch.result()
	d.Host, d.Err = h.address, err
	l := &link{cc: cc, of: h, made: clock(), http2: d.HTTP2 || h.scheme == "http" && h.of.unencryptedHTTP2}
	d.HTTP2 = l.http2 && err == nil
	if err == nil {
		what.link.Store(l)
		if l.guard = capture.Conn(); l.guard != nil {
			d.Conn, d.Remote = l.guard.ID(), l.guard.RemoteAddr().String()
		}
		if l.http2 {
			l.meet(ctx, d.Connect, int(what.spoken.Load()))
		}
	}
	if h.of.cfg.Watch != nil {
		h.of.cfg.Watch.Dialed(d)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", h.address, clarified(err))
	}
	return l, nil
}

// clarified says what http.Client says of a server that answers a TLS handshake in clear text: it looks at the outermost error only.
func clarified(err error) error {
	if head, ok := errors.AsType[tls.RecordHeaderError](err); ok && string(head.RecordHeader[:]) == "HTTP/" {
		return http.ErrSchemeMismatch
	}
	return err
}

// Until a server's SETTINGS frame has come, net/http takes it that 100 streams are allowed. The frame follows the handshake by a round trip at most, and
// more only where a machine is busy.
const (
	streamsBeforeSettings = 100
	settingsPause         = 200 * time.Microsecond
	settingsLeast         = 20 * time.Millisecond
	settingsMost          = 250 * time.Millisecond
)

// meet waits for the server's SETTINGS, so that it is known how many streams the connection takes before it is given any. Before is how many writes there
// were before net/http's: its first is the preface, and the second acknowledges the SETTINGS. Where that is not known (negative), a server that allows exactly
// as many streams as are taken for granted is not told from one that says nothing: less is waited for it, and its connection takes one request until that is
// answered.
func (l *link) meet(ctx context.Context, roundTrip time.Duration, before int) {
	counted := l.guard != nil && before >= 0 && l.guard.EarlyWrites() > before
	patience := settingsMost
	if !counted {
		patience = min(max(2*roundTrip, settingsLeast), settingsMost)
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(settingsPause)
	defer tick.Stop()
	for l.cc.Available() == streamsBeforeSettings && l.cc.Err() == nil {
		if counted && l.guard.EarlyWrites() >= before+2 {
			l.met = true
			return
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// dialWatch measures the phases of one dial. Addresses may be tried side by side, so that its fields are atomic.
type dialWatch struct {
	spoken                            func() // called when a TLS handshake has ended
	network                           atomic.Pointer[string]
	resolveBegan, tlsBegan            atomic.Int64
	connectBegan                      sync.Map // address → when its attempt began, by clock
	resolveTook, connectTook, tlsTook atomic.Int64
	http2                             atomic.Bool
}

func (w *dialWatch) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { w.resolveBegan.Store(clock()) },
		DNSDone:  func(httptrace.DNSDoneInfo) { w.resolveTook.Store(clock() - w.resolveBegan.Load()) },
		ConnectStart: func(network, addr string) {
			w.connectBegan.Store(addr, clock())
			w.network.Store(&network)
		},
		ConnectDone: func(_, addr string, err error) {
			if began, ok := w.connectBegan.Load(addr); ok && err == nil {
				w.connectTook.Store(clock() - began.(int64))
			}
		},
		TLSHandshakeStart: func() { w.tlsBegan.Store(clock()) },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			w.tlsTook.Store(clock() - w.tlsBegan.Load())
			w.http2.Store(err == nil && s.NegotiatedProtocol == "h2")
			w.spoken()
		},
	}
}

func (w *dialWatch) result() Dial {
	d := Dial{
		HTTP2: w.http2.Load(), Resolve: time.Duration(w.resolveTook.Load()), Connect: time.Duration(w.connectTook.Load()), TLS: time.Duration(w.tlsTook.Load()),
	}
	if network := w.network.Load(); network != nil {
		d.Network = *network
	}
	return d
}

// newBase copies the settings of net/http and puts the guard below.
func newBase(cfg Config) *http.Transport {
	from := cfg.Base
	if from == nil {
		from = http.DefaultTransport.(*http.Transport) // New has looked whether it is one
	}
	base := from.Clone()
	_, configured := base.TLSNextProto["h2"] // by golang.org/x/net/http2, whose connections net/http cannot give one by one
	if base.Protocols == nil {
		base.Protocols = new(http.Protocols)
		base.Protocols.SetHTTP1(true)
		base.Protocols.SetHTTP2(base.TLSNextProto == nil || configured || from.ForceAttemptHTTP2)
	}
	delete(base.TLSNextProto, "h2")
	base.DisableKeepAlives = false
	base.MaxIdleConns, base.MaxIdleConnsPerHost, base.IdleConnTimeout = 0, 0, 0
	base.MaxConnsPerHost = 0 // net/http counts only down for connections that it gives one by one, and panics below none
	if base.Proxy != nil {
		base.Proxy = proxyFor(base.Proxy)
	}
	if inner := dialerOf(from); inner != nil && cfg.Base != nil {
		base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := inner(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			g := guard.WrapContext(ctx, nc, optionsFor(ctx, cfg.Guard))
			if e, ok := ctx.Value(errandContextKey{}).(*errand); ok {
				e.heard(g)
				if addr == e.host.address { // else it is a proxy's
					g.SetName(addr)
				}
			}
			return g.Surface(), nil
		}
	} else {
		base.DialContext = newSpreader(cfg.Guard).dial
	}
	if inner := from.DialTLSContext; inner != nil {
		base.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := inner(ctx, network, addr)
			if g, ok := guard.From(nc); err == nil && ok {
				// It dials guarded sockets itself, and only the capture has to know.
				guard.WrapContext(ctx, g, cfg.Guard)
			}
			return nc, err
		}
	}
	return base
}

// proxyFor has ask see the host as a request names it. Where net/http gives connections one by one it leaves out the port, and the brackets of an IPv6
// address: what NO_PROXY says of a port, and that nothing on ::1 is reached by a proxy, would not hold.
func proxyFor(ask func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		if e, ok := req.Context().Value(errandContextKey{}).(*errand); ok {
			req.URL.Host = e.host.named()
			req.Host = req.URL.Host
		}
		return ask(req)
	}
}

// onlyHTTP1 makes base offer HTTP/1.1 and nothing else.
func onlyHTTP1(base *http.Transport) *http.Transport {
	base.Protocols = new(http.Protocols)
	base.Protocols.SetHTTP1(true)
	if c := base.TLSClientConfig; c != nil { // that of a transport that was used offers HTTP/2
		c.NextProtos = slices.DeleteFunc(slices.Clone(c.NextProtos), func(name string) bool { return name == "h2" })
	}
	return base
}

// dialerOf is the function by which t dials; nil: none of its own.
func dialerOf(t *http.Transport) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if t.DialContext != nil || t.Dial == nil { //nolint:staticcheck // it is still heeded by net/http
		return t.DialContext
	}
	return func(_ context.Context, network, addr string) (net.Conn, error) { return t.Dial(network, addr) } //nolint:staticcheck // as above
}
