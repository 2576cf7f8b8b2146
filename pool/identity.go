package pool

import "herz.example/herz/conn"

// backend is what is known of one remote address while connections to it are open. All of it is guarded by Pool.mu.
type backend struct {
	conns   int                 // open connections that said who answers there
	servers map[string]struct{} // everyone who answered there since the address last changed hands
}

// serversKept bounds what is remembered of one address. Behind a balancer with more servers some are forgotten and cause a recheck.
const serversKept = 256

// identified keeps what the server behind e said it is. False: e itself changed, so that what its users know of it is no longer
// true. Then every connection to that address is suspect and the pool is invalidated. When only the address answers with a new name, the
// others at that address are asked, once; behind a balancer they answer as before and nothing happens to them.
func (p *Pool[T]) identified(e *entry[T], who string) bool {
	before := e.identity.Swap(&who)
	changed := before != nil && *before != who
	p.mu.Lock()
	b := p.backends[e.peer]
	if b == nil {
		b = &backend{servers: map[string]struct{}{}}
		p.backends[e.peer] = b
	}
	if before == nil {
		b.conns++
	}
	_, known := b.servers[who]
	others := !known && len(b.servers) > 0
	if changed || len(b.servers) >= serversKept {
		clear(b.servers)
	}
	b.servers[who] = struct{}{}
	p.mu.Unlock()
	if changed {
		p.invalidate(conn.Identity, &IdentityError{Pool: p.cfg.Name, Peer: e.peer, Before: *before, After: who}, e.gen)
		return false
	}
	if others {
		p.recheck(e)
	}
	return true
}

// unidentifiedLocked forgets what e said. With the last connection to an address all that is known of it goes.
func (p *Pool[T]) unidentifiedLocked(e *entry[T]) {
	if e.identity.Load() == nil {
		return
	}
	b := p.backends[e.peer]
	if b.conns--; b.conns == 0 {
		delete(p.backends, e.peer)
	}
}

// recheck has the other connections that have the same peer as e asked for their identity when they rest. The pool's own goroutine does so, a
// tenth of all at a time.
func (p *Pool[T]) recheck(e *entry[T]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.all {
		if at != e && at.made && at.peer == e.peer {
			at.asked = true
		}
	}
	p.wakeLocked(0)
}
