package herzhttp_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/herzhttp"
	"herz.example/herz/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newTransport makes a Transport that ends with the test.
func newTransport(t testing.TB, cfg herzhttp.Config) *herzhttp.Transport {
	t.Helper()
	tr, err := herzhttp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// site is a server with what tests want to know of it.
type site struct {
	*httptest.Server
	conns    atomic.Int64
	requests atomic.Int64
}

// protocols are the ways in which a site can be reached.
var protocols = []string{"http/1.1", "http/1.1 over TLS", "HTTP/2", "HTTP/2 without TLS"}

// newSite opens a server that speaks one of protocols, and gives what a client needs to reach it.
func newSite(t testing.TB, protocol string, h http.Handler, set ...func(*http.Server)) (*site, herzhttp.Config) {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		h.ServeHTTP(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	for _, f := range set {
		f(s.Config)
	}
	base := &http.Transport{}
	switch protocol {
	case "http/1.1":
		s.Start()
	case "http/1.1 over TLS":
		s.StartTLS()
	case "HTTP/2":
		s.EnableHTTP2 = true
		s.StartTLS()
	case "HTTP/2 without TLS":
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		base.Protocols = new(http.Protocols)
		base.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	}
	if s.TLS != nil {
		base.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
	}
	t.Cleanup(func() {
		s.Client().CloseIdleConnections()
		s.CloseClientConnections()
		s.Close()
	})
	return s, herzhttp.Config{Base: base}
}

// everyProtocol runs a test over each of protocols.
func everyProtocol(t *testing.T, test func(t *testing.T, protocol string)) {
	for _, p := range protocols {
		t.Run(strings.ReplaceAll(p, "/", ""), func(t *testing.T) { test(t, p) })
	}
}

// fetch sends a request and reads its answer.
func fetch(t testing.TB, c *http.Client, method, url, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Errorf("%s %s: %v", method, url, err)
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s %s: read the answer: %v", method, url, err)
	}
	return resp.StatusCode, string(text)
}

// only gives the numbers of the one pool of tr.
func only(t testing.TB, tr *herzhttp.Transport) pool.Stats {
	t.Helper()
	all := tr.Pools()
	if len(all) != 1 {
		t.Fatalf("there are %d pools", len(all))
	}
	return all[0].Stats()
}

// eventually waits for something that is promised.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Method", r.Method)
	_, _ = io.Copy(w, r.Body)
})

// withTimeout gives the test's context an end.
func withTimeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
