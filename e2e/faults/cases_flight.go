//go:build linux

package main

import (
	"sync"
	"time"

	"herz.example/herz/faultlab/server"
)

const (
	holePace  = 20 * time.Millisecond  // between two calls of a worker whose calls are slow
	pace      = 100 * time.Millisecond // between two calls of another
	aftermath = 4 * time.Second        // for which the load goes on after a fault
)

// holed makes the server vanish for so long while every connection has a write on the server, and lets it come back.
func holed(long time.Duration) func(s *scene) {
	return func(s *scene) {
		n := s.node(server.Options{})
		s.openAt(n, n.Addr())
		s.fill()
		loops := s.load(long+watched, holePace, func(sub *subject, w *watch) op { return sub.write(w, work) })
		s.rest(300 * time.Millisecond)
		s.strike(func() error { return n.path.Vanish(n.Port) }, func() error { s.rest(long); return nil }, n.path.Heal)
		s.rest(aftermath)
		halt(loops)
	}
}

// load lets all connections of all clients work; each worker makes the calls in turn.
func (s *scene) load(most, pace time.Duration, calls ...func(sub *subject, w *watch) op) []*loop {
	ctx := s.Context()
	loops := make([]*loop, len(s.subjects))
	for i, sub := range s.subjects {
		own := make([]func(*watch) op, len(calls))
		for j, call := range calls {
			own[j] = func(w *watch) op { return call(sub, w) }
		}
		loops[i] = sub.start(ctx, connections, most, pace, own...)
	}
	return loops
}

func halt(loops []*loop) {
	var wg sync.WaitGroup
	for _, l := range loops {
		wg.Go(l.halt)
	}
	wg.Wait()
}

// frozen stops the server's processes for 6 s while its kernel goes on to acknowledge. Half of the connections have a write on the
// server, the others are idle and are used in the meantime. Redis, which works on nothing for long, has only the latter.
func frozen(s *scene) {
	const (
		half  = connections / 2
		long  = 2 * time.Second        // of the server on the writes in flight
		after = 300 * time.Millisecond // they have reached the server
		lasts = 6 * time.Second
	)
	n := s.ready()
	w := newWatch(s.Context(), watched)
	defer w.end()
	var calls sync.WaitGroup
	if s.product != redisServer {
		s.together(func(sub *subject) {
			for range half {
				calls.Go(func() {
					sub.call(w, op{write: true, flight: true, id: int(sub.last.Add(1))}, sub.writing(long))
				})
			}
		})
		s.rest(after)
	}
	s.strike(n.Freeze, func() error {
		s.together(func(sub *subject) {
			for range half {
				calls.Go(func() { sub.write(w, 0) })
			}
		})
		s.rest(lasts)
		return n.Thaw()
	})
	calls.Wait()
	s.burst()
}
