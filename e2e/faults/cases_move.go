//go:build linux

package main

import (
	"net"
	"net/netip"
	"strconv"
	"time"

	"herz.example/herz/faultlab/netns"
	"herz.example/herz/faultlab/server"
	"herz.example/herz/herztest"
)

const (
	dialled = "db.test" // the name
	front   = 4000      // the port of an address that leads to servers
	moving  = 5 * time.Second
)

// two starts two servers behind one address, which leads to the first.
func (s *scene) two() (r *netns.Router, before, after *node) {
	s.Helper()
	r = netns.NewRouter(s.TB, 2)
	before, after = s.behind(r, 0), s.behind(r, 1)
	s.must(r.Lead(front, before.addrPort()), "lead to the first server")
	s.openAt(before, net.JoinHostPort(r.IP(), strconv.Itoa(front)))
	s.fill()
	return r, before, after
}

func (s *scene) behind(r *netns.Router, i int) *node {
	s.Helper()
	return s.nodeIn(r.Behind(i), i+1, server.Options{})
}

func (n *node) addrPort() netip.AddrPort { return netip.MustParseAddrPort(n.Addr()) }

// replaced kills the server while its address leads to another one: the clients get a FIN.
func replaced(s *scene) {
	r, before, after := s.two()
	s.rest(idle)
	s.strike(func() error { return r.Lead(front, after.addrPort()) }, before.Kill)
	before.gone = true
	s.burst()
}

// demoted makes the server read-only, and its address lead to another one. Connections stay where they are, as the router goes on
// to know them.
func demoted(s *scene) {
	r, before, after := s.two()
	loops := s.load(2*watched, pace, func(sub *subject, w *watch) op { return sub.write(w, 0) })
	s.rest(time.Second)
	s.strike(func() error { return r.Lead(front, after.addrPort()) }, func() error { return before.Demote(s.Context()) })
	s.rest(moving)
	halt(loops)
	there := s.rowsOf(after)
	for _, sub := range s.subjects {
		sub.fig.Writable = sub.firstOf(there[sub], s.fault)
	}
}

// rowsOf gives what was written to a server, by the client that wrote it.
func (s *scene) rowsOf(n *node) map[*subject]map[int]int {
	s.Helper()
	ctx, cancel := s.bounded()
	defer cancel()
	all := map[*subject]map[int]int{}
	for _, sub := range s.subjects {
		rows, err := n.boss.applied(ctx, sub.table)
		s.must(err, "count the rows of "+sub.table)
		all[sub] = rows
	}
	return all
}

// firstOf is the time from the fault to the first acknowledged write of these; nil when there is none.
func (s *subject) firstOf(rows map[int]int, fault time.Time) (first *float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.ops {
		if o.write && o.err == nil && !o.hung && rows[o.id] > 0 && (first == nil || o.ended.Sub(fault).Seconds() < *first) {
			first = seconds(o.ended.Sub(fault))
		}
	}
	return first
}

// moved makes the name of the server lead to another one. The old one lives; its flows are dropped or not.
func moved(drop bool) func(s *scene) {
	return func(s *scene) {
		before, there := s.alone(1)
		_, elsewhere := s.alone(2)
		names := herztest.NewNameServer(s.TB)
		names.Set(dialled, there.IP())
		s.open(func(*subject) target {
			return target{dsn: before.way(net.JoinHostPort(dialled, strconv.Itoa(front))), names: names.Resolver()}
		})
		s.fill()
		loops := s.load(2*watched, pace,
			func(sub *subject, w *watch) op { return sub.read(w) },
			func(sub *subject, w *watch) op { return sub.write(w, 0) })
		s.rest(2 * time.Second)
		s.strike(func() error { names.Set(dialled, elsewhere.IP()); return nil }, func() error {
			if drop {
				return before.drop()
			}
			return nil
		})
		s.rest(moving)
		ended := time.Now()
		halt(loops)
		old := s.rowsOf(before)
		for _, sub := range s.subjects {
			sub.stale(old[sub], s.fault, ended)
		}
	}
}

// alone starts a server behind a router of its own, which gives it the same port as others have.
func (s *scene) alone(mark int) (*node, *netns.Router) {
	s.Helper()
	r := netns.NewRouter(s.TB, 1)
	n := s.nodeIn(r.Behind(0), mark, server.Options{})
	s.must(r.Lead(front, n.addrPort()), "lead to the server")
	return n, r
}

// stale notes until when the first server answered reads, and how many writes it took.
func (s *subject) stale(there map[int]int, fault, ended time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, fresh := 0.0, false
	for _, o := range s.ops {
		switch {
		case o.hung || o.err != nil || o.ended.Before(fault):
		case o.write && o.begun.After(fault) && there[o.id] > 0:
			s.fig.OldTook++
		case !o.write && o.value == 1:
			last = max(last, o.ended.Sub(fault).Seconds())
		case !o.write && o.value == 2:
			fresh = true
		}
	}
	// A client that reads nothing new, or something old to the very end, has not moved.
	if fresh && last < ended.Sub(fault).Seconds()-1 {
		s.fig.Stale = &last
	}
}
