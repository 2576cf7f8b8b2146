package herzhttp_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"herz.example/herz/guard"
	"herz.example/herz/herzhttp"
	"herz.example/herz/herztest"
)

func TestLimitsOfTheBaseAreNotHeededAndDoNoHarm(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, echo)
		cfg.Base.MaxConnsPerHost, cfg.Base.MaxIdleConnsPerHost, cfg.Base.MaxIdleConns = 1, 1, 1
		cfg.Base.DisableKeepAlives = true
		tr := newTransport(t, cfg)
		c := &http.Client{Transport: tr}
		for range 3 {
			fetch(t, c, "GET", s.URL, "")
		}
		tr.CloseIdleConnections()
		eventually(t, "its connection is closed", func() bool { return only(t, tr).Open == 0 })
		fetch(t, c, "GET", s.URL, "")
		if n := s.conns.Load(); n != 2 {
			t.Errorf("%d connections for four requests and one call of CloseIdleConnections", n)
		}
	})
}

func TestOldDialFunctionOfTheBaseIsUsed(t *testing.T) {
	s, cfg := newSite(t, "http/1.1", echo)
	var dials atomic.Int64
	cfg.Base.Dial = func(network, _ string) (net.Conn, error) { //nolint:staticcheck // net/http heeds it
		dials.Add(1)
		return net.Dial(network, s.Listener.Addr().String())
	}
	fetch(t, &http.Client{Transport: newTransport(t, cfg)}, "GET", "http://a.name.that.nobody.has:80/", "")
	if n := dials.Load(); n != 1 {
		t.Errorf("it was called %d times", n)
	}
}

func TestBaseThatWasConfiguredForHTTP2ByAnotherPackageReachesHTTP2Servers(t *testing.T) {
	s, cfg := newSite(t, "HTTP/2", echo)
	cfg.Base.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{
		"h2": func(string, *tls.Conn) http.RoundTripper { t.Error("the other package was asked"); return nil },
	}
	cfg.Base.TLSClientConfig.NextProtos = []string{"h2", "http/1.1"}
	fetch(t, &http.Client{Transport: newTransport(t, cfg)}, "GET", s.URL, "")
}

func TestConnectionsThatTheBaseDialledLeaveAnAddressThatTheNameHasLeft(t *testing.T) {
	ns := herztest.NewNameServer(t)
	ns.Set("api.test", "127.0.0.1")
	port := everywhere(t, echo)
	cfg := herzhttp.Config{Guard: guard.Options{Resolver: ns.Resolver(), ResolveEvery: guard.MinResolveEvery}, Base: &http.Transport{
		DialContext: (&net.Dialer{Resolver: ns.Resolver()}).DialContext,
	}}
	tr := newTransport(t, cfg)
	c := &http.Client{Transport: tr}
	at := func() string {
		fetch(t, c, "GET", "http://api.test:"+port, "")
		return peers(tr)[0]
	}
	asked := ns.Asked("api.test")
	if at() != "127.0.0.1" {
		t.Fatal("it leads elsewhere")
	}
	eventually(t, "the name is watched", func() bool { at(); return ns.Asked("api.test") > asked+2 })
	ns.Set("api.test", "127.0.0.2")
	eventually(t, "requests go to the new address", func() bool { return at() == "127.0.0.2" })
}
