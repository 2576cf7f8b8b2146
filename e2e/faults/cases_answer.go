//go:build linux

package main

import (
	"fmt"
	"time"

	"herz.example/herz/faultlab/proxy"
	"herz.example/herz/faultlab/server"
)

const (
	lostAnswers = 30
	cutMost     = 5000 // bytes of the result, and more than it has
)

// proxies gives each client a proxy of its own to the server, and opens it there.
func (s *scene) proxies(n *node) map[*subject]*proxy.Proxy {
	s.Helper()
	all := map[*subject]*proxy.Proxy{}
	for _, sub := range s.subjects {
		p, err := proxy.Listen(n.Addr())
		s.must(err, "proxy")
		s.Cleanup(func() { s.closed(p.Close(), "proxy") })
		all[sub] = p
	}
	s.open(func(sub *subject) target { return target{dsn: n.way(all[sub].Addr())} })
	return all
}

// answersLost lets the server execute each of 30 writes, and swallows the answer.
func answersLost(end proxy.End) func(s *scene) {
	return func(s *scene) {
		n := s.node(server.Options{})
		proxies := s.proxies(n)
		s.fault = time.Now()
		s.together(func(sub *subject) {
			if err := s.loseAnswers(sub, proxies[sub], end); err != nil {
				s.Errorf("%s: %v", sub.table, err)
			}
		})
		s.usable = time.Now() // each of the errors is that of a call whose answer was lost
	}
}

func (s *scene) loseAnswers(sub *subject, p *proxy.Proxy, end proxy.End) error {
	w := newWatch(s.Context(), 2*watched)
	defer w.end()
	for range lostAnswers {
		if err := sub.client.fill(w.context(), 1); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		trap, err := p.Set(proxy.Trap{Marker: sub.table, End: end})
		if err != nil {
			return err
		}
		o := sub.write(w, 0)
		if !fate(trap) {
			return fmt.Errorf("no answer was swallowed: %w", o.err)
		}
	}
	return nil
}

// resultsCut cuts a result of 20 rows behind every number of bytes.
func resultsCut(end proxy.End, prepared bool) func(s *scene) {
	return func(s *scene) {
		n := s.node(server.Options{})
		proxies := s.proxies(n)
		s.fault = time.Now()
		s.together(func(sub *subject) {
			if err := s.cutResults(sub, proxies[sub], end, prepared); err != nil {
				s.Errorf("%s: %v", sub.table, err)
			}
		})
		s.usable = time.Now()
	}
}

func (s *scene) cutResults(sub *subject, p *proxy.Proxy, end proxy.End, prepared bool) error {
	ctx := s.Context()
	for keep := 0; keep < cutMost; keep += s.stride {
		if err := sub.client.fill(ctx, 1); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		trap, err := p.Set(proxy.Trap{Marker: cutMark, Keep: keep, End: end})
		if err != nil {
			return err
		}
		rows, err := sub.client.rows(ctx, prepared)
		if !sprung(trap) {
			return fmt.Errorf("the result was not asked for through the proxy: %w", err)
		}
		if err == nil && rows == wideRows && !fate(trap) {
			return nil // it came whole
		}
		sub.fig.Results++
		switch {
		case err != nil:
			sub.fig.Errors++
		case rows < wideRows:
			sub.fig.Short++
		}
	}
	return fmt.Errorf("the result has more than %d bytes", cutMost)
}

// sprung reports whether the request has passed the trap.
func sprung(trap *proxy.Sprung) bool {
	select {
	case <-trap.Fallen():
		return true
	default:
		return false
	}
}

// fate waits for what happened to an answer, of which the client may hear first, and reports whether it was cut.
func fate(trap *proxy.Sprung) bool {
	bound := time.NewTimer(time.Second)
	defer bound.Stop()
	select {
	case <-trap.Done():
		return trap.Swallowed() > 0
	case <-bound.C:
		return false
	}
}
