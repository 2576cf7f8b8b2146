package guard

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
	"weak"

	"herz.example/herz/conn"
)

const (
	// DefaultResolveEvery is how often a name is resolved again while its connections are used.
	DefaultResolveEvery = time.Second
	// MinResolveEvery keeps a mistyped unit from flooding a name server.
	MinResolveEvery = 100 * time.Millisecond
	// resolveIdle is how many times longer a name rests whose connections are not used.
	resolveIdle = 10
	// resolveAgain is the pause before an answer that lacks an address in use is asked for once more.
	resolveAgain = 250 * time.Millisecond
	// resolveTime bounds one resolution.
	resolveTime = 2 * time.Second
	// resolvesAtOnce bounds the resolutions that run at the same time.
	resolvesAtOnce = 4
)

// lookup resolves a name.
type lookup func(ctx context.Context, by *net.Resolver, host string) ([]netip.Addr, error)

// names watches the names that open connections were dialled by. Its goroutine runs while there are any.
var names = nameWatch{lookup: func(ctx context.Context, by *net.Resolver, host string) ([]netip.Addr, error) {
	if by == nil {
		by = net.DefaultResolver
	}
	return by.LookupNetIP(ctx, "ip", host)
}}

type nameWatch struct {
	lookup lookup

	// mu guards what follows, and the fields of each name. No connection is called under it but for loads, and nothing is resolved.
	mu   sync.Mutex
	all  map[nameKey]*name
	stop context.CancelFunc // of the running goroutine; nil: none runs
	wake chan struct{}
}

// nameKey is one name as one resolver knows it.
type nameKey struct {
	host string
	by   *net.Resolver
}

// name is one of them while connections that were dialled by it are open.
type name struct {
	nameKey

	conns  map[weak.Pointer[Conn]]netip.Addr
	every  time.Duration
	known  answers
	asked  int64 // when it was resolved last
	due    int64 // when that is to be done again
	asking bool
	doubt  bool // one more answer can decide that an address in use is gone
}

// SetName says by which host name, with or without a port, the connection was dialled. While it is open the name is resolved again every
// Options.ResolveEvery; when it no longer leads to the address of the peer, the connection is condemned with cause Identity. A Dialer does it
// by itself; it is for those who dial on their own. An address in place of a name, and an empty name, are ignored. The first name stays.
// A peer whose address no answer ever has, such as a proxy, is not judged.
func (c *Conn) SetName(host string) { c.setName(host, false) }

// SetResolvedName is SetName for those who have resolved the name and dialled what was answered: the peer is judged from the first answer on, though the
// name may have moved since.
func (c *Conn) SetResolvedName(host string) { c.setName(host, true) }

func (c *Conn) setName(host string, answered bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	addr, ok := peerAddr(c)
	if _, err := netip.ParseAddr(host); err == nil || host == "" || !ok || c.noSweep || c.opt.ResolveEvery < 0 {
		return
	}
	if !c.name.CompareAndSwap(nil, &nameKey{host: host, by: c.opt.Resolver}) {
		return
	}
	names.add(c.self, *c.name.Load(), addr, answered, c.opt.ResolveEvery)
	if c.state.Load() != stateOpen {
		names.remove(c.self, *c.name.Load()) // it was closed meanwhile, and its leave may have come too early
	}
}

// Name is the host name that the connection was dialled by; empty when that is not known, or not watched.
func (c *Conn) Name() string {
	if k := c.name.Load(); k != nil {
		return k.host
	}
	return ""
}

func peerAddr(c *Conn) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(c.peer)
	return ap.Addr().Unmap().WithZone(""), err == nil
}

// add watches the name for one more connection. Answered: a lookup of the name gave its address.
func (w *nameWatch) add(c weak.Pointer[Conn], key nameKey, addr netip.Addr, answered bool, every time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all, w.wake = map[nameKey]*name{}, make(chan struct{}, 1)
	}
	n := w.all[key]
	if n == nil {
		n = &name{nameKey: key, conns: map[weak.Pointer[Conn]]netip.Addr{}, every: every, due: now()}
		w.all[key] = n
	}
	n.conns[c], n.every = addr, min(n.every, every)
	if answered {
		n.known.met(addr)
	}
	if w.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		w.stop = stop
		go w.run(ctx)
	}
	w.nudgeLocked()
}

// remove forgets a connection; with the last one the watch ends.
func (w *nameWatch) remove(c weak.Pointer[Conn], key nameKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.all[key]
	if n == nil {
		return
	}
	if delete(n.conns, c); len(n.conns) == 0 {
		delete(w.all, key)
	}
	if len(w.all) == 0 && w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

func (w *nameWatch) nudgeLocked() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run is the goroutine.
func (w *nameWatch) run(ctx context.Context) {
	turns := make(chan struct{}, resolvesAtOnce)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-w.wake:
		case <-ctx.Done():
			return
		}
		next := w.start(ctx, turns)
		timer.Reset(next)
	}
}

// start begins the resolutions that are due and says when to come back.
func (w *nameWatch) start(ctx context.Context, turns chan struct{}) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := now()
	next := int64(time.Minute)
	for _, n := range w.all {
		if n.asking {
			continue
		}
		due := n.dueLocked(at)
		if due > at {
			next = min(next, due-at)
			continue
		}
		select {
		case turns <- struct{}{}:
			n.asking, n.asked = true, at
			go w.resolve(ctx, n, turns)
		default:
			next = min(next, int64(resolveAgain))
		}
	}
	return time.Duration(next)
}

// dueLocked is when the name is to be resolved: when its time has come and one of its connections was used since the last time, else ten times
// later.
func (n *name) dueLocked(at int64) int64 {
	if at < n.due || n.asked == 0 || n.doubt {
		return n.due
	}
	for p := range n.conns {
		if c := p.Value(); c != nil && (c.lastIO.Load() > n.asked || c.waiting.Load() != 0) {
			return n.due
		}
	}
	if late := n.due + (resolveIdle-1)*int64(n.every); at < late {
		return min(late, at+int64(n.every))
	}
	return n.due
}

// resolve asks once, and condemns what the answer leaves behind.
func (w *nameWatch) resolve(ctx context.Context, n *name, turns chan struct{}) {
	rctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	set, err := w.lookup(rctx, n.by, n.host)
	if err != nil {
		set = nil // a name server that fails says nothing about the name
	}
	left := w.learn(n, set)
	<-turns
	for _, p := range left {
		if c := p.Value(); c != nil {
			c.condemn(conn.Identity, fmt.Sprintf("%s no longer leads to %s", n.host, c.peer))
		}
	}
}

// learn takes an answer, says when the next is due, and gives the connections whose address is gone.
func (w *nameWatch) learn(n *name, set []netip.Addr) []weak.Pointer[Conn] {
	w.mu.Lock()
	defer w.mu.Unlock()
	n.known.take(set)
	n.doubt = false
	var left []weak.Pointer[Conn]
	for p, addr := range n.conns {
		switch {
		case n.known.gone(addr):
			left = append(left, p)
		case len(set) > 0 && n.known.nearly(addr):
			n.doubt = true
		}
	}
	wait := n.every
	if n.doubt {
		wait = min(wait, resolveAgain)
	}
	n.asking, n.due = false, now()+int64(wait)
	w.nudgeLocked()
	return left
}

// forget is remove for a connection that was collected without Close, of which only the pointer is left.
func (w *nameWatch) forget(c weak.Pointer[Conn]) {
	w.mu.Lock()
	var key *nameKey
	for k, n := range w.all {
		if _, ok := n.conns[c]; ok {
			key = &k
			break
		}
	}
	w.mu.Unlock()
	if key != nil {
		w.remove(c, *key)
	}
}
