//go:build linux

package signals_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzhttp"
	"herz.example/herz/herzprom"
	"herz.example/herz/pool"
)

// clients is the part of a program that asks HTTP servers: one that is well, one whose requests it gives up itself, and others with a fault each.
type clients struct {
	*scene

	transport *herzhttp.Transport
	executed  atomic.Int64 // requests that a server executed, and then closed the connection
}

// newClients lets each host be asked once, so that its series are there before its fault.
func newClients(s *scene, metrics *herzprom.HTTP) *clients {
	c := &clients{scene: s}
	handlers := map[string]http.HandlerFunc{
		"web-well": func(http.ResponseWriter, *http.Request) {}, "web-given-up": stall, "web-line": stall, "web-torn": hangUpAfter, "web-executes": c.execute,
	}
	addresses := map[string]string{"web-refused:80": "127.0.0.1:1"}
	for name, handler := range handlers {
		server := httptest.NewUnstartedServer(handler)
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.Start()
		s.t.Cleanup(server.Close)
		addresses[name+":80"] = server.Listener.Addr().String()
	}
	var d net.Dialer
	tr, err := herzhttp.New(herzhttp.Config{
		Watch: metrics, Observer: metrics,
		Base: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return d.DialContext(ctx, network, addresses[addr])
		}},
		HostLimits: func(address string) (pool.Limits, bool) {
			most, ok := map[string]int{"web-line:80": 1, "web-torn:80": 4}[address]
			return pool.Limits{MaxOpen: most}, ok
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = tr.Close() })
	c.transport = tr
	for name := range handlers {
		if err := c.ask(s.ctx, "GET", name+"/"); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, alert := range []string{
		// Who executes and says nothing closes connections, and who dials in vain has callers who wait meanwhile.
		"HerzPeerClosesConnections web-executes:80", "HerzOldestWaiter web-refused:80", "HerzHTTPWaitTimeouts web-refused:80",
	} {
		s.alsoTrue[alert] = true
	}
	s.every(20*time.Millisecond, func(ctx context.Context) {
		if err := c.ask(ctx, "POST", "web-well/"); err != nil && ctx.Err() == nil {
			s.t.Errorf("the HTTP server that is well: %v", err)
		}
	})
	s.every(200*time.Millisecond, func(ctx context.Context) {
		enough, cancel := context.WithCancel(ctx)
		defer time.AfterFunc(50*time.Millisecond, cancel).Stop()
		if err := c.ask(enough, "POST", "web-given-up/slow"); !errors.Is(err, context.Canceled) {
			s.t.Errorf("a request that its caller gave up: %v", err)
		}
	})
	return c
}

// ask sends a request and reads its answer.
func (c *clients) ask(ctx context.Context, method, where string) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+where, strings.NewReader("x"))
	if err != nil {
		return err
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (c *clients) faults() map[string]fault {
	return map[string]fault{
		"web-executes:80": {c.askWhoExecutes, []string{"HerzHTTPAmbiguous"}},
		"web-line:80":     {c.askInLine, []string{"HerzOldestWaiter", "HerzHTTPWaitTimeouts"}},
		"web-torn:80":     {c.askWhoHangsUp, []string{"HerzPeerClosesConnections", "HerzHTTPReconnectStorm"}},
		"web-refused:80":  {c.askInVain, []string{"HerzDialsFail"}},
	}
}

// execute does what it was asked for, and then closes the connection without a word.
func (c *clients) execute(_ http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	c.executed.Add(1)
	panic(http.ErrAbortHandler)
}

func (c *clients) askWhoExecutes() {
	c.every(300*time.Millisecond, func(ctx context.Context) {
		before := c.executed.Load()
		err := c.ask(ctx, "POST", "web-executes/order")
		if ctx.Err() != nil {
			return
		}
		if after := c.executed.Load(); !errors.Is(err, guard.ErrAmbiguous) || after != before+1 {
			c.t.Errorf("it was executed %d times, and the caller got %v", after-before, err)
		}
	})
}

// stall answers a POST only when nobody wants the answer any more.
func stall(_ http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		return
	}
	_, _ = io.Copy(io.Discard, r.Body) // net/http sees the end of a connection only then
	<-r.Context().Done()
}

// askInLine holds the one connection of a host, and lets others wait for it, one for long and some for a moment.
func (c *clients) askInLine() {
	c.every(time.Second, func(ctx context.Context) { _ = c.ask(ctx, "POST", "web-line/slow") })
	c.every(time.Second, func(ctx context.Context) { _ = c.ask(ctx, "POST", "web-line/slow") })
	c.every(300*time.Millisecond, func(ctx context.Context) {
		late, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		_ = c.ask(late, "GET", "web-line/")
	})
}

// hangUpAfter answers, and then closes a connection of which it had not said so.
func hangUpAfter(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" {
		return
	}
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	_ = nc.Close()
}

func (c *clients) askWhoHangsUp() {
	c.every(30*time.Millisecond, func(ctx context.Context) { _ = c.ask(ctx, "GET", "web-torn/once") })
}

func (c *clients) askInVain() {
	c.every(200*time.Millisecond, func(ctx context.Context) {
		late, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := c.ask(late, "GET", "web-refused/"); err == nil {
			c.t.Error("somebody listens on port 1")
		}
	})
}
