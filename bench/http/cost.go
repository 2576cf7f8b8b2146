package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"herz.example/herz/bench/record"
	"herz.example/herz/herzhttp"
)

// The subjects of the cost rows. plain and plain-again are the same: how far they lie apart is the noise of the run.
const (
	plainName = "net/http"
	againName = "net/http, again"
	oursName  = "herzhttp"
)

// callers ask side by side in the cost rows.
const callers = 8

// costs are what the windows of one subject showed, one for each round.
type costs struct {
	Protocol string    `json:"protocol"`
	Subject  string    `json:"subject"`
	CPU      []float64 `json:"cpu_ns"` // of this process, a request
	Mallocs  []float64 `json:"mallocs"`
	CPUWall  []float64 `json:"cpu_wall"`
}

// trusting is net/http's transport as most programs have it, but for the number of idle connections (2 for a host), with which eight callers would dial
// all the time.
func trusting() *http.Transport {
	return &http.Transport{
		ForceAttemptHTTP2: true, MaxIdleConns: 100, MaxIdleConnsPerHost: 100, IdleConnTimeout: 90 * time.Second,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the server is this program, on loopback
	}
}

// closing is a client that can be closed.
type closing struct {
	http.RoundTripper
	end func()
}

func plainClient() closing {
	t := trusting()
	return closing{t, t.CloseIdleConnections}
}

func ourClient(base *http.Transport) (closing, error) {
	t, err := herzhttp.New(herzhttp.Config{Base: base})
	if err != nil {
		return closing{}, err
	}
	return closing{t, func() { _ = t.Close() }}, nil
}

func (r *report) measureCosts(ctx context.Context) error {
	s, end, err := startServer(ctx)
	if err != nil {
		return err
	}
	defer end()
	ours, err := ourClient(trusting())
	if err != nil {
		return err
	}
	clients := map[string]closing{plainName: plainClient(), againName: plainClient(), oursName: ours}
	byName := map[string]map[string]*costs{}
	urls := map[string]string{"HTTP/1.1": s.HTTP1, "HTTP/2": s.HTTP2}
	var cells []*costs
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		byName[protocol] = map[string]*costs{}
		for _, name := range []string{plainName, againName, oursName} {
			c := &costs{Protocol: protocol, Subject: name}
			byName[protocol][name] = c
			cells = append(cells, c)
		}
	}
	r.Costs = cells
	defer func() {
		for _, c := range clients {
			c.end()
		}
	}()
	for round := range r.Plan.Rounds + 1 {
		for _, i := range rand.Perm(len(cells)) { //nolint:gosec // an order, and no secret
			c := cells[i]
			cpu, mallocs, wall, err := measure(ctx, clients[c.Subject], urls[c.Protocol], r.Plan.Window)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.Subject, c.Protocol, err)
			}
			if round == 0 {
				continue // connections are made, and code and caches are warm
			}
			c.CPU, c.Mallocs, c.CPUWall = append(c.CPU, cpu), append(c.Mallocs, mallocs), append(c.CPUWall, wall)
		}
	}
	for protocol, most := range map[string]float64{"HTTP/1.1": 1.0, "HTTP/2": 1.1} {
		row := byName[protocol]
		noise := ratio(row[againName].CPU, row[plainName].CPU)
		r.Verdict = append(r.Verdict,
			record.Finding{What: protocol + ": processor time of a request, over net/http and over A/A", Must: 1.05, Aim: 1}.Settle(
				ratio(row[oursName].CPU, row[plainName].CPU)/noise, r.Plan.Rounds),
			record.Finding{What: protocol + ": allocations of a request, over net/http", Must: most}.Settle(
				ratio(row[oursName].Mallocs, row[plainName].Mallocs), r.Plan.Rounds))
	}
	return nil
}

// ratio is the median of the ratios of the rounds.
func ratio(a, b []float64) float64 {
	list := make([]float64, len(a))
	for i := range a {
		list[i] = a[i] / b[i]
	}
	return record.Median(list)
}

// measure lets callers ask for one window.
func measure(ctx context.Context, c http.RoundTripper, url string, window time.Duration) (cpu, mallocs, cpuWall float64, err error) {
	var before, after runtime.MemStats
	var done atomic.Int64
	var stop atomic.Bool
	errs := make([]error, callers)
	var wg sync.WaitGroup
	runtime.GC()
	runtime.ReadMemStats(&before)
	used, began := record.CPUTime(), time.Now()
	for i := range callers {
		wg.Go(func() {
			for !stop.Load() && errs[i] == nil {
				errs[i] = ask(ctx, c, http.MethodGet, url, "")
				done.Add(1)
			}
		})
	}
	time.Sleep(window)
	stop.Store(true)
	wg.Wait()
	spent, wall := record.CPUTime()-used, time.Since(began)
	runtime.ReadMemStats(&after)
	n := float64(done.Load())
	return float64(spent) / n, float64(after.Mallocs-before.Mallocs) / n, float64(spent) / float64(wall), errors.Join(errs...)
}

// ask sends one request and reads its answer.
func ask(ctx context.Context, c http.RoundTripper, method, url, body string) error {
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, from)
	if err != nil {
		return err
	}
	resp, err := c.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode >= 300 {
		err = errors.New(resp.Status)
	}
	return err
}

func (r *report) writeCosts(b *strings.Builder) {
	fmt.Fprintf(b, "\n## What a request costs\n\n%d rounds, windows of %v, in random order within a round; %d callers; the server is a process of its own, "+
		"so that the processor time is the client's. Over net/http: median of the rounds' ratios, with 5 %% bounds.\n\n", r.Plan.Rounds, r.Plan.Window, callers)
	b.WriteString("| protocol | client | µs of processor time | over net/http | allocations | CPU/wall |\n|---|---|--:|---|--:|--:|\n")
	plain := map[string]*costs{}
	for _, c := range r.Costs {
		if c.Subject == plainName {
			plain[c.Protocol] = c
		}
		list := make([]float64, len(c.CPU))
		for i := range list {
			list[i] = c.CPU[i] / plain[c.Protocol].CPU[i]
		}
		low, high, _ := record.Bounds(list)
		fmt.Fprintf(b, "| %s | %s | %.1f | %.3f (%.3f – %.3f) | %.1f | %.2f |\n", c.Protocol, c.Subject, record.Median(c.CPU)/1000, record.Median(list), low, high,
			record.Median(c.Mallocs), record.Median(c.CPUWall))
	}
}
