package guard

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"weak"
)

// registry knows the open guards of the process. It holds them weakly: a connection that was forgotten without Close
// is still collected, and closed by net's own finalizer, as it would be without a guard.
var registry struct {
	// mu guards conns. Nothing but map operations happens under it.
	mu    sync.Mutex
	conns map[uint64]weak.Pointer[Conn]

	lastID atomic.Uint64
}

func register(c *Conn) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if registry.conns == nil {
		registry.conns = make(map[uint64]weak.Pointer[Conn])
	}
	registry.conns[c.id] = c.self
}

func unregister(id uint64) {
	registry.mu.Lock()
	defer registry.mu.Unlock()
	delete(registry.conns, id)
}

func registered(id uint64) *Conn {
	registry.mu.Lock()
	p := registry.conns[id]
	registry.mu.Unlock()
	return p.Value()
}

// Live lists the guarded connections of this process that were not closed yet, oldest first. Dead ones whose owner has
// not noticed yet are among them.
func Live() []*Conn {
	registry.mu.Lock()
	all := make([]*Conn, 0, len(registry.conns))
	for _, p := range registry.conns {
		if c := p.Value(); c != nil {
			all = append(all, c)
		}
	}
	registry.mu.Unlock()
	slices.SortFunc(all, func(a, b *Conn) int { return cmp.Compare(a.id, b.id) })
	return all
}

// Find gives the open guarded connection with these addresses, as net.Addr.String writes them. It returns nil when there is
// none, or more than one (UNIX sockets have no local address to tell them apart).
func Find(local, remote string) *Conn {
	var found *Conn
	for _, c := range Live() {
		if c.local == local && c.peer == remote {
			if found != nil {
				return nil
			}
			found = c
		}
	}
	return found
}
