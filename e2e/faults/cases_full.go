//go:build linux

package main

import (
	"context"
	"errors"
	"time"

	"herz.example/herz/faultlab/proxy"
	"herz.example/herz/faultlab/server"
)

const (
	places    = 60 // of the server
	warm      = 2  // connections of each client before the server is full
	fullFor   = 4 * time.Second
	fullPace  = 10 * time.Millisecond
	afterFull = 3 * time.Second
)

// full lets others take all places of the server after the clients' own connections were closed, and counts dials in front of the
// server. Then the others leave.
func full(s *scene) {
	n := s.node(server.Options{MaxConnections: places})
	proxies := s.proxies(n)
	ctx, cancel := s.bounded()
	defer cancel()
	for _, sub := range s.subjects {
		s.must(sub.client.fill(ctx, warm), "fill "+sub.table)
		proxies[sub].CutAll(proxy.FIN)
	}
	leave, err := s.crowd(ctx, n)
	defer leave()
	s.must(err, "fill the server")

	before := map[*subject]uint64{}
	for sub, p := range proxies {
		before[sub] = p.Stats().Accepted
	}
	s.fault = time.Now()
	loops := s.load(fullFor+watched, fullPace, func(sub *subject, w *watch) op { return sub.write(w, 0) })
	s.rest(fullFor)
	for sub, p := range proxies {
		rate := float64(p.Stats().Accepted-before[sub]) / time.Since(s.fault).Seconds()
		sub.fig.Dials = &rate
	}
	leave()
	s.usable = time.Now()
	s.rest(afterFull)
	halt(loops)
	for _, sub := range s.subjects {
		sub.fig.Back = sub.back(s.usable)
	}
}

// crowd takes places of the server until it has none left. What it returns gives them back, and may be called twice.
func (s *scene) crowd(ctx context.Context, n *node) (leave func(), err error) {
	const refusals, pause = 10, 20 * time.Millisecond // in a row: places of connections that were cut come back a little later
	var taken []client
	leave = func() {
		for _, c := range taken {
			s.closed(c.close(), "who filled the server")
		}
		taken = nil
	}
	open := map[product]func(target) (client, error){mariaDB: stockMySQL, postgreSQL: stockPgx}[s.product]
	for refused := 0; refused < refusals; {
		c, err := open(target{dsn: n.way(n.Addr())})
		if err != nil {
			return leave, err
		}
		if err := c.fill(ctx, 1); err != nil {
			refused++
			if err := errors.Join(c.close(), ctx.Err()); err != nil {
				return leave, err
			}
			s.rest(pause)
			continue
		}
		refused = 0
		taken = append(taken, c)
	}
	return leave, nil
}

// back is the time to the first call that succeeded; nil when none did.
func (s *subject) back(usable time.Time) (first *float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.ops {
		if o.err != nil || o.hung || o.ended.Before(usable) {
			continue
		}
		if after := o.ended.Sub(usable).Seconds(); first == nil || after < *first {
			first = &after
		}
	}
	return first
}
