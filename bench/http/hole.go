package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"herz.example/herz/bench/record"
)

// holes are what one client needed to get out of silences.
type holes struct {
	Client   string    `json:"client"`
	Seconds  []float64 `json:"seconds"` // until the first answer
	Failed   []float64 `json:"failed"`  // requests before it
	Censored int       `json:"censored"`
}

const (
	holePatience = 12 * time.Second
	holeRequest  = 400 * time.Millisecond
)

// measureHoles has every client ask once after the other, with 400 ms for an answer, over a proxy that stops passing on what it is sent on the connections
// that are there.
func (r *report) measureHoles(ctx context.Context) error {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	pinging := trusting()
	pinging.HTTP2 = &http.HTTP2Config{SendPingTimeout: 250 * time.Millisecond, PingTimeout: 250 * time.Millisecond}
	names := []string{plainName, "net/http, pings after 250 ms", oursName}
	rows := map[string]*holes{}
	for _, name := range names {
		rows[name] = &holes{Client: name}
		r.Holes = append(r.Holes, rows[name])
	}
	for range r.Plan.Holes {
		for _, i := range rand.Perm(len(names)) { //nolint:gosec // an order, and no secret
			c := plainClient()
			switch names[i] {
			case oursName:
				var err error
				if c, err = ourClient(trusting()); err != nil {
					return err
				}
			case plainName:
			default:
				c = closing{pinging, pinging.CloseIdleConnections}
			}
			if err := rows[names[i]].fall(ctx, c, s.Listener.Addr().String()); err != nil {
				return fmt.Errorf("%s: %w", names[i], err)
			}
		}
	}
	ours := rows[oursName]
	r.Verdict = append(r.Verdict,
		record.Finding{What: "silent HTTP/2 connection: seconds to the next answer, the worst", Must: 1, Aim: .5}.Settle(most(ours.Seconds), len(ours.Seconds)),
		record.Finding{What: "silent HTTP/2 connection: failed requests, the most", Must: 2, Aim: 1}.Settle(most(ours.Failed), len(ours.Failed)))
	return nil
}

func most(list []float64) (m float64) {
	for _, v := range list {
		m = max(m, v)
	}
	return m
}

// fall measures one silence.
func (h *holes) fall(ctx context.Context, c closing, server string) error {
	defer c.end()
	p, err := newProxy(server)
	if err != nil {
		return err
	}
	defer p.close()
	url := "https://" + p.l.Addr().String()
	for range 5 {
		if err := askWithin(ctx, c, url, 5*time.Second); err != nil {
			return err
		}
	}
	p.deaf.Store(p.n.Load())
	began := time.Now()
	failed := 0.0
	for askWithin(ctx, c, url, holeRequest) != nil {
		failed++
		if time.Since(began) > holePatience {
			h.Censored++
			break
		}
	}
	h.Seconds, h.Failed = append(h.Seconds, time.Since(began).Seconds()), append(h.Failed, failed)
	return ctx.Err()
}

func askWithin(ctx context.Context, c http.RoundTripper, url string, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return ask(ctx, c, http.MethodGet, url, "")
}

// proxy passes on bytes, and on connections up to the deaf one it only takes them.
type proxy struct {
	l       net.Listener
	to      string
	n, deaf atomic.Int64
	wg      sync.WaitGroup
	// mu guards open. Nothing is called under it but Close, at the end.
	mu   sync.Mutex
	open []net.Conn
}

func newProxy(to string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{l: l, to: to}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) accept() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		n := p.n.Add(1)
		p.mu.Lock()
		p.open = append(p.open, in, out)
		p.mu.Unlock()
		p.wg.Go(func() { p.pass(out, in, n) })
		p.wg.Go(func() { p.pass(in, out, n) })
	}
}

func (p *proxy) pass(to, from net.Conn, n int64) {
	defer to.Close()
	buf := make([]byte, 16<<10)
	for {
		got, err := from.Read(buf)
		if n > p.deaf.Load() && got > 0 {
			if _, werr := to.Write(buf[:got]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) close() {
	_ = p.l.Close()
	p.mu.Lock()
	for _, nc := range p.open {
		_ = nc.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (r *report) writeHoles(b *strings.Builder) {
	fmt.Fprintf(b, "\n## An HTTP/2 connection that falls silent\n\nOne request after the other, each with %v for its answer. After %v the wait was given up.\n\n",
		holeRequest, holePatience)
	b.WriteString("| client | seconds to the next answer | failed requests | given up |\n|---|---|---|--:|\n")
	for _, h := range r.Holes {
		fmt.Fprintf(b, "| %s | %.2f | %.0f | %d |\n", h.Client, h.Seconds, h.Failed, h.Censored)
	}
}
