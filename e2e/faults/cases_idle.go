//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"herz.example/herz/faultlab/server"
)

const (
	idleTimeout = 2 * time.Second
	longIdle    = 4500 * time.Millisecond // longer than that
)

// ready starts a server whose clients have all their connections open and idle for longer than a second.
func (s *scene) ready() *node {
	s.Helper()
	n := s.node(server.Options{})
	s.openAt(n, n.Addr())
	s.fill()
	s.rest(idle)
	return n
}

// restarted kills the server and starts it again: the clients get a FIN.
func restarted(s *scene) {
	n := s.ready()
	s.strike(n.Kill, n.Restart)
	s.burst()
}

// timedOut lets the server close what was idle for 2 s.
func timedOut(s *scene) {
	n := s.node(server.Options{IdleTimeout: idleTimeout})
	s.openAt(n, n.Addr())
	s.fill()
	s.rest(longIdle)
	ctx, cancel := s.bounded()
	defer cancel()
	s.strike(func() error {
		left, err := n.boss.sessions(ctx)
		if err == nil && left > 0 {
			err = errors.New("the server has not closed idle connections")
		}
		return err
	})
	s.burst()
}

// droppedAtOnce drops the flows of connections that were used a moment ago, and uses them again.
func droppedAtOnce(s *scene) {
	n := s.node(server.Options{})
	s.openAt(n, n.Addr())
	s.fill()
	s.strike(n.drop)
	ctx := s.Context()
	s.together(func(sub *subject) { sub.burst(ctx) })
}

// droppedEarlier drops the flows and uses them 4 s later.
func droppedEarlier(s *scene) {
	n := s.node(server.Options{})
	s.openAt(n, n.Addr())
	s.fill()
	s.strike(n.drop)
	s.rest(4 * time.Second)
	s.burst()
}

// drop swallows the packets of all connections that there are, and of no other.
func (n *node) drop() error {
	fell, err := n.path.BlackHole(n.Port)
	if err == nil && fell == 0 {
		err = errors.New("no flow fell into the black hole")
	}
	return err
}

// halfOpen lets the peer vanish and come back without its state: it answers the next packet by a RST. Until then its clients take their
// connections for established.
func halfOpen(s *scene) {
	n := s.ready()
	ctx, cancel := s.bounded()
	defer cancel()
	forgotten := func() error { return n.path.Forget(n.Port) }
	s.strike(n.drop, n.Kill, n.Restart, forgotten, n.path.Heal)
	open, err := established(ctx, n.Addr())
	s.must(err, "look at the clients' sockets")
	if want := connections * len(s.subjects); open != want {
		s.Fatalf("%d connections are half-open, want %d: the clients have heard of the end of the server", open, want)
	}
	s.burst()
}

// established counts the connections to an address that their clients take for established.
func established(ctx context.Context, to string) (int, error) {
	out, err := exec.CommandContext(ctx, "ss", "-H", "-t", "-n", "state", "established", "dst", "=", to).CombinedOutput() //nolint:gosec // of our own
	if err != nil {
		return 0, fmt.Errorf("ss: %w: %s", err, out)
	}
	return strings.Count(string(out), "\n"), nil
}

// closedByHAProxy lets HAProxy, between client and server, close what was idle for 2 s.
func closedByHAProxy(s *scene) {
	n := s.node(server.Options{})
	h := server.Start(s.TB, server.HAProxy, server.Options{IdleTimeout: idleTimeout, To: []string{n.Addr()}})
	s.openAt(n, h.Addr())
	s.fill()
	s.rest(longIdle)
	s.strike()
	s.burst()
}
