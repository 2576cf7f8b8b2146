package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"time"

	"herz.example/herz/bench/record"
	"herz.example/herz/board"
	"herz.example/herz/pool"
)

// The subjects.
const (
	noneName  = "none"
	plainName = "no ping"
	beatsName = "a ping every 30 s"
	boardName = "no ping, a board that is watched"
)

// subject is a pool that is to rest, or none.
type subject struct {
	name    string
	cfg     *pool.Config[int]
	watched bool
}

// subjects gives all of them. The connections cost nothing, and answer a ping at once, so that what is measured is the pool alone.
func subjects() []subject {
	dial := func(context.Context) (int, error) { return 1, nil }
	return []subject{
		{noneName, nil, false},
		{plainName, &pool.Config[int]{Dial: dial}, false},
		{beatsName, &pool.Config[int]{Dial: dial, Ping: func(context.Context, int) error { return nil }}, false},
		{boardName, &pool.Config[int]{Dial: dial}, true},
	}
}

// sample is what one window showed.
type sample struct{ percent, bytes, goroutines, beats float64 }

const (
	fillTime   = 30 * time.Second        // for all connections to be there
	settleTime = 1500 * time.Millisecond // after which the clock of a pool that nobody uses has stopped
)

// measure fills the pool and looks at the process for a while.
func (s subject) measure(ctx context.Context, n int, window time.Duration) (got sample, err error) {
	before, goroutines := heap(), runtime.NumGoroutine()
	stats := func() pool.Stats { return pool.Stats{} }
	if s.cfg != nil {
		p, err := s.full(ctx, n)
		if err != nil {
			return got, err
		}
		defer p.Close() //nolint:errcheck // nothing is lent
		stats = p.Stats
		if s.watched {
			end, err := watch(ctx, p)
			if err != nil {
				return got, err
			}
			defer end()
		}
	}
	if err := pause(ctx, settleTime); err != nil {
		return got, err
	}
	got.bytes = float64(heap()-before) / float64(n)
	got.goroutines = float64(runtime.NumGoroutine() - goroutines)
	beats, cpu, began := stats().Heartbeats, record.CPUTime(), time.Now()
	if err := pause(ctx, window); err != nil {
		return got, err
	}
	wall := time.Since(began)
	got.percent = 100 * float64(record.CPUTime()-cpu) / float64(wall)
	got.beats = float64(stats().Heartbeats-beats) / wall.Seconds()
	return got, nil
}

// full makes a pool in which n connections rest.
func (s subject) full(ctx context.Context, n int) (*pool.Pool[int], error) {
	cfg := *s.cfg
	cfg.Limits = pool.Limits{MaxOpen: n, MinIdle: n, MaxDialing: 64}
	p, err := pool.New(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fillTime)
	defer cancel()
	if err := p.WarmUp(ctx); err != nil {
		_ = p.Close() // the first error is told
		return nil, fmt.Errorf("open %d connections: %w", n, err)
	}
	return p, nil
}

// watch shows a board of the pool to somebody who reads it as the page does, in this process too.
func watch(ctx context.Context, p *pool.Pool[int]) (end func(), err error) {
	s := httptest.NewServer(board.New(board.Config{Sources: []board.Source{p}}))
	ctx, leave := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+board.DefaultPrefix+"api/events?deltas=1", http.NoBody)
	if err != nil {
		leave()
		s.Close()
		return nil, err
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = read(s.Client(), req) // that it was left is no news
	}()
	return func() {
		leave()
		<-over
		s.Close()
	}, nil
}

// read reads an answer to its end.
func read(c *http.Client, req *http.Request) error {
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // it is less than the memory there is
}
