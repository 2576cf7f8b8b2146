//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/faultlab/netns"
	"herz.example/herz/faultlab/server"
	"herz.example/herz/guard"
)

// subject is one client that a fault is tried on.
type subject struct {
	spec

	client client
	table  string
	last   atomic.Int64 // row
	fig    figures

	// mu guards ops. Nothing is called under it.
	mu  sync.Mutex
	ops []op
}

// node is a server that takes part.
type node struct {
	*server.Server

	path *netns.NS // in which it is
	boss operator
	gone bool // it was killed for good, and nothing on it is counted
}

// scene is one fault that is tried on the clients of one product, side by side.
type scene struct {
	testing.TB

	product  product
	subjects []*subject
	nodes    []*node

	tls    bool      // spoken, and verified
	stride int       // between the bytes behind which results are cut
	fault  time.Time // when it began
	usable time.Time // from when on new connections were served again
}

func newScene(t testing.TB, p product, columns []spec) *scene {
	s := &scene{TB: t, product: p}
	for _, c := range columns {
		if c.product == p {
			name := strings.NewReplacer("/", "", "-", "").Replace(c.driver) + "_" + c.mode
			s.subjects = append(s.subjects, &subject{spec: c, table: "w_" + name})
		}
	}
	return s
}

// must fails the fault that could not be set up or looked at.
func (s *scene) must(err error, doing string) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", doing, err)
	}
}

// closed notes what could not be closed, and goes on cleaning up. That a lost connection could not say goodbye, as pgx tells of one over TLS, is no surprise.
func (s *scene) closed(err error, what string) {
	s.Helper()
	if err != nil && !errors.Is(err, guard.ErrDead) && !errors.Is(err, guard.ErrAmbiguous) {
		s.Errorf("close %s: %v", what, err)
	}
}

// bounded is a context for what the scene does itself.
func (s *scene) bounded() (context.Context, func()) {
	return context.WithTimeout(s.Context(), 20*time.Second)
}

// node starts the only server of a fault, in a namespace.
func (s *scene) node(o server.Options) *node {
	s.Helper()
	return s.nodeIn(netns.New(s.TB), 1, o)
}

// nodeIn starts a server; mark tells it from others.
func (s *scene) nodeIn(path *netns.NS, mark int, o server.Options) *node {
	s.Helper()
	o.IP, o.Enter, o.TLS = path.IP(), path.Do, s.tls
	n := &node{Server: server.Start(s.TB, s.product.kind(), o), path: path}
	var err error
	n.boss, err = s.product.operator(n.Server)
	s.must(err, "operator")
	s.Cleanup(func() { s.closed(n.boss.close(), "operator") })
	tables := make([]string, len(s.subjects))
	for i, sub := range s.subjects {
		tables[i] = sub.table
	}
	ctx, cancel := s.bounded()
	defer cancel()
	s.must(n.boss.prepare(ctx, mark, tables), "prepare the server")
	s.nodes = append(s.nodes, n)
	return n
}

// open opens all clients; to says where each connects.
func (s *scene) open(to func(sub *subject) target) {
	s.Helper()
	for _, sub := range s.subjects {
		t := to(sub)
		t.table = sub.table
		c, err := sub.open(t)
		s.must(err, "open "+sub.table)
		sub.client = c
		s.Cleanup(func() { s.closed(c.close(), sub.table) })
	}
}

// openAt opens all clients, to the server or to what leads there.
func (s *scene) openAt(n *node, addr string) {
	s.Helper()
	s.open(func(*subject) target { return target{dsn: n.way(addr)} })
}

// way is the data source name of the application, whose account may not write where the server is read-only.
func (n *node) way(addr string) string { return n.DSNOf(server.Access{Addr: addr, Client: true}) }

// fill opens the connections of all clients and leaves them idle.
func (s *scene) fill() {
	s.Helper()
	ctx, cancel := s.bounded()
	defer cancel()
	s.together(func(sub *subject) {
		if err := sub.client.fill(ctx, connections); err != nil {
			s.Errorf("fill %s: %v", sub.table, err)
		}
	})
	if s.Failed() {
		s.FailNow()
	}
}

// rest lets time pass, which is part of the fault.
func (s *scene) rest(d time.Duration) {
	s.Helper()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.Context().Done():
		s.Fatal("interrupted")
	}
}

// strike makes the fault, which ends when it returns.
func (s *scene) strike(steps ...func() error) {
	s.Helper()
	s.fault = time.Now()
	for _, step := range steps {
		s.must(step(), "make the fault")
	}
	s.usable = time.Now()
}

// together runs f for all clients at once.
func (s *scene) together(f func(sub *subject)) {
	var wg sync.WaitGroup
	for _, sub := range s.subjects {
		wg.Go(func() { f(sub) })
	}
	wg.Wait()
}

// inTurn runs f for the clients of Herz one after the other, so that they do not measure each other on a small machine, and then for those
// without it, which may hang, at once.
func (s *scene) inTurn(f func(sub *subject)) {
	var others sync.WaitGroup
	for _, sub := range s.subjects {
		if sub.herz() {
			f(sub)
		}
	}
	for _, sub := range s.subjects {
		if !sub.herz() {
			others.Go(func() { f(sub) })
		}
	}
	others.Wait()
}

// burst is the load after a fault on idle connections.
func (s *scene) burst() { s.inTurn(func(sub *subject) { sub.burst(s.Context()) }) }

// count takes the verdict on the servers, once they do nothing any more.
func (s *scene) count(b bars) {
	s.Helper()
	ctx, cancel := s.bounded()
	defer cancel()
	applied := map[*subject]map[int]int{}
	for _, n := range s.nodes {
		if n.gone {
			continue
		}
		s.must(n.path.Heal(), "heal")
		s.must(await(ctx, func() (bool, error) {
			busy, err := n.boss.busy(ctx)
			return busy == 0, err
		}), "wait until nothing is written any more")
		for _, sub := range s.subjects {
			rows, err := n.boss.applied(ctx, sub.table)
			s.must(err, "count the rows of "+sub.table)
			if applied[sub] == nil {
				applied[sub] = map[int]int{}
			}
			for id, times := range rows {
				applied[sub][id] += times
			}
		}
	}
	for _, sub := range s.subjects {
		sub.mu.Lock()
		sub.fig.sum(sub.ops, s.fault, s.usable, b.young)
		sub.fig.account(sub.ops, applied[sub])
		sub.mu.Unlock()
	}
}

// await polls until ok, or until the context ends.
func await(ctx context.Context, ok func() (bool, error)) error {
	for {
		yes, err := ok()
		if yes && err == nil {
			return nil
		}
		pause := time.NewTimer(10 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("it did not come: %w", errors.Join(ctx.Err(), err))
		}
	}
}
