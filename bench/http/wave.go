package main

import (
	"context"
	"errors"
	"fmt"
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

// waves are bursts of one client to a server with few streams a connection.
type waves struct {
	Client      string    `json:"client"`
	Cold        []float64 `json:"cold_ms"` // the first burst of a client without connections
	Warm        []float64 `json:"warm_ms"` // the one after it
	Connections []float64 `json:"connections"`
}

const (
	waveStreams  = 10
	waveRequests = 100
	waveWork     = 30 * time.Millisecond
)

// measureWaves has every client send 100 requests at once to a server that works on each for 30 ms and takes 10 streams a connection.
func (r *report) measureWaves(ctx context.Context) error {
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(waveWork) }))
	s.EnableHTTP2 = true
	s.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: waveStreams}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.StartTLS()
	defer s.Close()
	names := []string{plainName, oursName}
	rows := map[string]*waves{}
	for _, name := range names {
		rows[name] = &waves{Client: name}
		r.Waves = append(r.Waves, rows[name])
	}
	for range r.Plan.Waves {
		for _, i := range rand.Perm(len(names)) { //nolint:gosec // an order, and no secret
			c := plainClient()
			if names[i] == oursName {
				var err error
				if c, err = ourClient(trusting()); err != nil {
					return err
				}
			}
			before := conns.Load()
			cold, errCold := wave(ctx, c, s.URL)
			warm, errWarm := wave(ctx, c, s.URL)
			c.end()
			if err := errors.Join(errCold, errWarm); err != nil {
				return fmt.Errorf("%s: %w", names[i], err)
			}
			row := rows[names[i]]
			row.Cold, row.Warm, row.Connections = append(row.Cold, cold), append(row.Warm, warm), append(row.Connections, float64(conns.Load()-before))
		}
	}
	ours := rows[oursName]
	r.Verdict = append(r.Verdict,
		record.Finding{What: "100 requests at 10 streams, warm: median over the time of one", Must: 2}.Settle(
			record.Median(ours.Warm)/float64(waveWork.Milliseconds()), len(ours.Warm)),
		record.Finding{What: "100 requests at 10 streams: connections, the most", Must: 12}.Settle(most(ours.Connections), len(ours.Connections)))
	return nil
}

// wave sends all requests at once and gives the milliseconds until the last answer.
func wave(ctx context.Context, c http.RoundTripper, url string) (float64, error) {
	errs := make([]error, waveRequests)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range errs {
		wg.Go(func() { errs[i] = ask(ctx, c, http.MethodGet, url, "") })
	}
	wg.Wait()
	return float64(time.Since(began).Microseconds()) / 1000, errors.Join(errs...)
}

func (r *report) writeWaves(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %d requests at once, %v each, to a server with %d streams a connection\n\n", waveRequests, waveWork, waveStreams)
	b.WriteString("| client | first burst, ms | second burst, ms | connections, median | most |\n|---|--:|--:|--:|--:|\n")
	for _, w := range r.Waves {
		fmt.Fprintf(b, "| %s | %.1f | %.1f | %.0f | %.0f |\n",
			w.Client, record.Median(w.Cold), record.Median(w.Warm), record.Median(w.Connections), most(w.Connections))
	}
}
