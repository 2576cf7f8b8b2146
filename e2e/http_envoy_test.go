//go:build linux

package e2e_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/faultlab/server"
	"herz.example/herz/guard"
	"herz.example/herz/herzhttp"
)

// buy sends one POST, or a GET that counts as one, and returns why it failed.
func buy(ctx context.Context, c *http.Client, method, url, id string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader("x"))
	if err != nil {
		return err
	}
	req.Header.Set("X-Order", id)
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	// To the end: a body that is given up costs its connection on a busy machine.
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

// counter is one of Envoy's, by its full name.
func counter(t *testing.T, e *server.Server, name string) int {
	t.Helper()
	text, err := e.Admin(t.Context(), "/stats?filter=^"+name+"$")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(text, name+":")))
	if err != nil {
		t.Fatalf("Envoy says %q of %s: %v", text, name, err)
	}
	return n
}

// trust lets a client verify a further server.
func trust(t *testing.T, c *tls.Config, s *server.Server) {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	c.RootCAs = c.RootCAs.Clone()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		t.Fatalf("no authority in %s", s.CAFile())
	}
}

// envoys are the ways to speak to one.
var envoys = []ending{
	{kind: server.Envoy},
	{kind: server.Envoy, http2: true},
	{kind: server.Envoy, http2: true, options: server.Options{TLS: true}},
}

// drainsUnderLoad lets the first of two Envoys drain while clients send through it; who dials after that is led to the second.
func drainsUnderLoad(t *testing.T, f ending, command string) {
	s := &shop{orders: map[string]int{}}
	backend := httptest.NewServer(s)
	t.Cleanup(backend.Close)
	o := f.options
	// A drain is gradual: the longer it lasts, the more answers are the last of their connection.
	o.To, o.Settings = []string{backend.Listener.Addr().String()}, []string{"--drain-time-s=2", "manager.drain_timeout=0.2s"}
	first, second := start(t, server.Envoy, o), start(t, server.Envoy, o)
	var leaves atomic.Bool
	c, url := f.client(t, first, func(c *herzhttp.Config) {
		c.Base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if leaves.Load() {
				addr = second.Addr()
			}
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		}
		if f.options.TLS {
			trust(t, c.Base.TLSClientConfig, second)
		}
	})

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var sent atomic.Int64
	var load sync.WaitGroup
	for i := range 8 {
		load.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				method := http.MethodPost
				if n%4 == 3 {
					method = http.MethodGet
				}
				if err := buy(t.Context(), c, method, url, fmt.Sprint(i, " ", n)); err != nil {
					t.Errorf("%s: %v", method, err)
				}
				sent.Add(1)
			}
		})
	}
	past := func(n int64) {
		if n += sent.Load(); !within(20*time.Second, func() bool { return sent.Load() >= n }) {
			t.Errorf("of %d requests, %d are sent after 20 s", n, sent.Load())
		}
	}
	past(200)
	had := counter(t, first, "http.lab.downstream_cx_active")
	leaves.Store(true)
	if _, err := first.Admin(t.Context(), command); err != nil {
		t.Error(err)
	}
	empty := within(20*time.Second, func() bool { return counter(t, first, "http.lab.downstream_cx_active") == 0 })
	past(200)
	stop()
	load.Wait()

	closed := counter(t, first, "http.lab.downstream_cx_drain_close")
	if !empty || had == 0 || closed == 0 {
		t.Errorf("of %d connections, the Envoy that drains told %d to go; all went: %t", had, closed, empty)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, n := range s.orders {
		if n != 1 {
			t.Errorf("%q was executed %d times", id, n)
		}
	}
	if len(s.orders) != int(sent.Load()) {
		t.Errorf("of %d orders %d were executed", sent.Load(), len(s.orders))
	}
	t.Logf("figures: %d requests; %d connections to the Envoy that drained, %d told to go", sent.Load(), had, closed)
}

func TestHTTPClientLosesNothingToAnEnvoyThatDrains(t *testing.T) {
	for _, f := range envoys {
		for name, command := range map[string]string{
			"fails its health check": "/healthcheck/fail", "drains its listeners": "/drain_listeners?graceful",
		} {
			t.Run(f.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				drainsUnderLoad(t, f, command)
			})
		}
	}
}

// Envoy's idle_timeout begins a drain of drain_timeout, in which it still answers, and ends it by delayed_close_timeout, in which HTTP/1.1 requests meet nobody:
// no FIN has told the client yet, and the reset comes when it is over.
const (
	envoyIdle  = 500 * time.Millisecond
	envoyDrain = 200 * time.Millisecond
	envoyDeaf  = 200 * time.Millisecond
)

func TestHTTPClientRacesWithTheIdleTimeoutOfEnvoyAndRepeatsNoOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		ending
		rests time.Duration // MaxIdleTime
		safe  bool          // nothing at all may fail
	}{
		{"which it does not know", ending{kind: server.Envoy}, 0, false},
		{"which it stays below", ending{kind: server.Envoy}, envoyIdle / 5, true},
		{"which comes with a GOAWAY", ending{kind: server.Envoy, http2: true}, 0, true},
	} {
		t.Run(c.String()+" "+c.name, func(t *testing.T) {
			t.Parallel()
			s := &shop{orders: map[string]int{}}
			backend := httptest.NewServer(s)
			t.Cleanup(backend.Close)
			e := start(t, server.Envoy, server.Options{To: []string{backend.Listener.Addr().String()}, Settings: []string{
				"manager.common_http_protocol_options.idle_timeout=" + fmt.Sprint(envoyIdle.Seconds()) + "s",
				"manager.drain_timeout=" + fmt.Sprint(envoyDrain.Seconds()) + "s", "manager.delayed_close_timeout=" + fmt.Sprint(envoyDeaf.Seconds()) + "s",
			}})
			client, url := c.client(t, e, func(cfg *herzhttp.Config) { cfg.Limits.MaxIdleTime = c.rests })

			failed := map[string]error{}
			var mu sync.Mutex // guards failed; nothing else happens under it
			sent := 0
			for round := range 2 {
				// From a little less than the time-out to a little more than when the connection has ended.
				for rest := envoyIdle - 50*time.Millisecond; rest < envoyIdle+envoyDrain+envoyDeaf+100*time.Millisecond; rest += 100 * time.Millisecond {
					var burst sync.WaitGroup
					for i := range 8 {
						sent++
						burst.Go(func() {
							id := fmt.Sprint(round, " ", rest, " ", i)
							if err := buy(t.Context(), client, http.MethodPost, url, id); err != nil {
								mu.Lock()
								failed[id] = err
								mu.Unlock()
							}
						})
					}
					burst.Wait()
					time.Sleep(rest)
				}
			}

			s.mu.Lock()
			defer s.mu.Unlock()
			for id, err := range failed {
				if c.safe || !errors.Is(err, guard.ErrAmbiguous) {
					t.Errorf("order %q failed: %v", id, err)
				}
			}
			for id, n := range s.orders {
				if n != 1 {
					t.Errorf("order %q was executed %d times", id, n)
				}
			}
			if lost := sent - len(s.orders); lost > len(failed) {
				t.Errorf("%d orders were not executed, and only %d failed", lost, len(failed))
			}
			if c.rests == 0 && counter(t, e, "http.lab.downstream_cx_idle_timeout") == 0 {
				t.Error("Envoy ended no connection for its rest: there was no race")
			}
			t.Logf("figures: %d orders, %d failed as ambiguous, %d executed", sent, len(failed), len(s.orders))
		})
	}
}
