package guard

import (
	"cmp"
	"slices"
	"sync/atomic"
	"weak"

	"herz.example/herz/registry"
)

// The registries know the open guards of the process. They hold them weakly: a connection that was forgotten without Close
// is still collected, and closed by net's own finalizer, as it would be without a guard.
var (
	lastID atomic.Uint64
	live   registry.Registry[uint64, weak.Pointer[Conn]]
	// places has the guards by their addresses. Addresses come back: what leaves late, such as a connection that only the
	// collector found, must leave alone what took its place. Slices are replaced, never changed.
	places registry.Registry[place, []weak.Pointer[Conn]]
)

// place is the addresses of a connection, as net.Addr.String writes them.
type place struct{ local, peer string }

// unique is false where any number of connections have the same addresses: most UNIX sockets, and what lives in memory.
func (at place) unique() bool {
	return at.local != at.peer && at.local != "" && at.local != "@" && at.peer != "" && at.peer != "@"
}

// seat is a connection's part in the registries.
type seat struct {
	live  *registry.Entry[uint64, weak.Pointer[Conn]]
	place *registry.Share[place, []weak.Pointer[Conn]] // nil where the place is not unique
}

// takeSeat prepares the seat of a connection, in which nobody sees it yet: whoever sees it may end it, and needs the seat for that.
func takeSeat(id uint64, at place) seat {
	var s seat
	s.live, _, _ = live.Put(id, weak.Pointer[Conn]{})
	if at.unique() {
		s.place, _ = places.Join(at, nil)
	}
	return s
}

// show lets the connection be found. It may be ended, and have left, before show is over; what has ended is not brought back,
// because the place comes first and the entry is the connection's own.
func (s seat) show(c weak.Pointer[Conn]) {
	if s.place != nil {
		s.place.Entry().Update(func(at []weak.Pointer[Conn]) []weak.Pointer[Conn] { return append(slices.Clip(at), c) })
	}
	s.live.Store(c)
}

// leave takes the connection out of the registries, and nobody else.
func (s seat) leave(c weak.Pointer[Conn]) {
	if s.place != nil {
		s.place.Entry().Update(func(at []weak.Pointer[Conn]) []weak.Pointer[Conn] {
			return slices.DeleteFunc(slices.Clone(at), func(p weak.Pointer[Conn]) bool { return p == c })
		})
		s.place.Leave()
	}
	s.live.Delete()
}

func registered(id uint64) *Conn {
	p, _ := live.Load(id)
	return p.Value()
}

// Live lists the guarded connections of this process that were not closed yet, oldest first. Dead ones whose owner has
// not noticed yet are among them. A connection that is opened or closed during the call may be in the list or not.
func Live() []*Conn {
	var all []*Conn
	for _, p := range live.All() {
		if c := p.Value(); c != nil {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *Conn) int { return cmp.Compare(a.id, b.id) })
	return all
}

// Find gives the open guarded connection with these addresses, as net.Addr.String writes them. It returns nil when there is
// none, or more than one (UNIX sockets have no local address to tell them apart).
func Find(local, remote string) *Conn {
	at := place{local, remote}
	if !at.unique() {
		return only(slices.DeleteFunc(Live(), func(c *Conn) bool { return c.local != local || c.peer != remote }))
	}
	var open []*Conn
	there, _ := places.Load(at)
	for _, p := range there {
		if c := p.Value(); c != nil {
			open = append(open, c)
		}
	}
	return only(open)
}

// only is the one connection of all; nil when there is none, or more than one.
func only(all []*Conn) *Conn {
	if len(all) != 1 {
		return nil
	}
	return all[0]
}
