//go:build linux

package e2e_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"herz.example/herz/faultlab/server"
	"herz.example/herz/herzhttp"
)

// ending is a proxy that speaks HTTP as its own code has it, with what makes it end connections: a time-out, and a number of requests.
type ending struct {
	kind    server.Kind
	options server.Options
	http2   bool
}

var fronts = []ending{
	{kind: server.HAProxy, options: server.Options{IdleTimeout: time.Second, Settings: []string{"mode=http"}}},
	{kind: server.Nginx, options: server.Options{IdleTimeout: time.Second, Settings: []string{"keepalive_requests=7"}}},
	{kind: server.Envoy, options: server.Options{IdleTimeout: time.Second, Settings: envoyEnds}},
	{kind: server.Envoy, options: server.Options{IdleTimeout: time.Second, Settings: envoyEnds}, http2: true},
	{kind: server.Envoy, options: server.Options{IdleTimeout: time.Second, Settings: envoyEnds, TLS: true}, http2: true},
}

// envoyEnds ends connections after seven requests, and does not add six seconds to the idle time-out (which is what Envoy's defaults do).
var envoyEnds = []string{
	"manager.common_http_protocol_options.max_requests_per_connection=7", "manager.drain_timeout=0.2s", "manager.delayed_close_timeout=0.1s",
}

func (f ending) String() string {
	switch {
	case f.options.TLS:
		return f.kind.String() + " by HTTP2 and TLS"
	case f.http2:
		return f.kind.String() + " by HTTP2"
	}
	return f.kind.String()
}

// client is one that speaks the protocol of the front, and the front's URL.
func (f ending) client(t *testing.T, s *server.Server, change func(*herzhttp.Config)) (*http.Client, string) {
	t.Helper()
	base := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: s.TLSConfig()}
	base.Protocols.SetHTTP1(!f.http2)
	base.Protocols.SetHTTP2(f.http2 && f.options.TLS)
	base.Protocols.SetUnencryptedHTTP2(f.http2 && !f.options.TLS)
	c := herzhttp.Config{Base: base}
	if change != nil {
		change(&c)
	}
	tr, err := herzhttp.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	if f.options.TLS {
		return &http.Client{Transport: tr}, "https://" + s.Addr()
	}
	return &http.Client{Transport: tr}, "http://" + s.Addr()
}

// shop counts how often each order was executed.
type shop struct {
	mu     sync.Mutex // guards orders
	orders map[string]int
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.orders[r.Header.Get("X-Order")]++
	s.mu.Unlock()
	switch r.URL.Path {
	case "/moved":
		http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
	case "/nothing":
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("X-Size", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}
}

// order sends one request and checks that what came back is what was sent.
func order(t *testing.T, c *http.Client, method, url string, id string, body []byte, change func(*http.Request)) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Order", id)
	if change != nil {
		change(req)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Errorf("%s %s: %v", method, url, err)
		return
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Errorf("%s %s: status %d, %v", method, url, resp.StatusCode, err)
	}
	if method == http.MethodPost && resp.StatusCode == http.StatusOK && !bytes.Equal(got, body) {
		t.Errorf("%s %s: %d bytes came back of %d", method, url, len(got), len(body))
	}
}

func TestHTTPClientLosesNothingToProxiesThatEndConnections(t *testing.T) {
	for _, f := range fronts {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			s := &shop{orders: map[string]int{}}
			backend := httptest.NewServer(s)
			defer backend.Close()
			f.options.To = []string{backend.Listener.Addr().String()}
			front := start(t, f.kind, f.options)
			c, url := f.client(t, front, nil)

			large := bytes.Repeat([]byte("0123456789abcdef"), 1<<13)
			order(t, c, http.MethodHead, url, "head", nil, nil)
			order(t, c, http.MethodPost, url+"/nothing", "nothing", []byte("x"), nil)
			order(t, c, http.MethodPost, url+"/moved", "moved", []byte("x"), nil)
			order(t, c, http.MethodPost, url, "large", large, nil)
			order(t, c, http.MethodPost, url, "asked before", large, func(r *http.Request) { r.Header.Set("Expect", "100-continue") })
			order(t, c, http.MethodPost, url, "no length", large, func(r *http.Request) { r.ContentLength = -1 })
			for i := range 60 { // nginx and Envoy end a connection after seven
				order(t, c, http.MethodPost, url, "quick "+strconv.Itoa(i), []byte("x"), nil)
			}
			for i := range 3 { // the proxy has closed it meanwhile
				time.Sleep(1500 * time.Millisecond)
				order(t, c, http.MethodPost, url, "late "+strconv.Itoa(i), []byte("x"), nil)
			}
			if err := front.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := front.Restart(); err != nil {
				t.Fatal(err)
			}
			order(t, c, http.MethodPost, url, "after a restart", []byte("x"), nil)

			s.mu.Lock()
			defer s.mu.Unlock()
			for id, n := range s.orders {
				if n > 1 && id != "moved" { // which is asked for at two paths
					t.Errorf("%q was executed %d times", id, n)
				}
			}
			if len(s.orders) != 70 {
				t.Errorf("%d orders arrived", len(s.orders))
			}
		})
	}
}
