package registry_test

import (
	"sync"
	"testing"

	"herz.example/herz/registry"
)

// turns runs steps on goroutines of their own in a fixed order, so that a race has one outcome: the same every time.
type turns struct{ next []chan func() }

func newTurns(t *testing.T, goroutines int) *turns {
	s := &turns{}
	var all sync.WaitGroup
	for range goroutines {
		next := make(chan func())
		s.next = append(s.next, next)
		all.Go(func() {
			for f := range next {
				f()
			}
		})
	}
	t.Cleanup(func() {
		for _, c := range s.next {
			close(c)
		}
		all.Wait()
	})
	return s
}

// on runs f on goroutine g and waits for its end.
func (s *turns) on(g int, f func()) {
	done := make(chan struct{})
	s.next[g] <- func() { defer close(done); f() }
	<-done
}

// directory is the register of connections that a schedule is played on: what the article has, and what Herz has.
type directory interface {
	// register makes known that connection c serves key, and gives the way to undo that.
	register(key string, c int) (cleanup func())
	// heartbeat notes that connection c was seen.
	heartbeat(key string, c, at int)
	// evict removes connections that were not seen since, and calls between after it has found one and before it removes it.
	evict(since int, between func())
	lookup(key string) (meta, bool)
}

// naive is the article's way: a sync.Map, LoadOrStore and Delete by key.
type naive struct{ m sync.Map }

func (n *naive) register(key string, c int) func() {
	n.m.LoadOrStore(key, &meta{Conn: c})
	return func() { n.m.Delete(key) }
}

func (n *naive) heartbeat(key string, c, at int) {
	n.m.LoadOrStore(key, &meta{Conn: c, LastSeen: at})
}

func (n *naive) evict(since int, between func()) {
	n.m.Range(func(key, v any) bool {
		if v.(*meta).LastSeen < since {
			between()
			n.m.Delete(key)
		}
		return true
	})
}

func (n *naive) lookup(key string) (meta, bool) {
	if v, ok := n.m.Load(key); ok {
		return *v.(*meta), true
	}
	return meta{}, false
}

// storing is naive with the refresh put right: LoadOrStore never refreshes anything.
type storing struct{ naive }

func (s *storing) register(key string, c int) func() {
	s.m.Store(key, &meta{Conn: c})
	return func() { s.m.Delete(key) }
}
func (s *storing) heartbeat(key string, c, at int) { s.m.Store(key, &meta{Conn: c, LastSeen: at}) }

// ours is the same on a Registry.
type ours struct {
	r   registry.Registry[string, meta]
	own map[int]*registry.Entry[string, meta]
}

func (o *ours) register(key string, c int) func() {
	e, _, _ := o.r.Put(key, meta{Conn: c})
	o.own[c] = e
	return func() { e.Delete() }
}

func (o *ours) heartbeat(_ string, c, at int) {
	o.own[c].Update(func(m meta) meta { m.LastSeen = at; return m })
}

func (o *ours) evict(since int, between func()) {
	for e := range o.r.All() {
		e.DeleteIf(func(m meta) bool {
			if m.LastSeen >= since {
				return false
			}
			if between != nil {
				between()
				between = nil
			}
			return true
		})
	}
}

func (o *ours) lookup(key string) (meta, bool) { return o.r.Load(key) }

// schedules are the orders of steps in which the article's registry goes wrong. Each gives what is wrong at its end, or nothing.
var schedules = []struct {
	name       string
	play       func(s *turns, d directory) string
	alsoStored bool // Store in place of LoadOrStore does not help
}{
	{
		// The article's: A registered, B deletes, C stores. C is the client's new connection, B cleans up after the old one.
		name: "cleanup of the old connection after the new one registered", alsoStored: true,
		play: func(s *turns, d directory) string {
			var cleanup func()
			s.on(0, func() { cleanup = d.register("c1001", 1) })
			s.on(2, func() { d.register("c1001", 2) })
			s.on(1, func() { cleanup() })
			return mustServe(d, 2)
		},
	},
	{
		name: "the new connection registers while the old one is known",
		play: func(s *turns, d directory) string {
			s.on(0, func() { d.register("c1001", 1) })
			s.on(2, func() { d.register("c1001", 2) })
			return mustServe(d, 2)
		},
	},
	{
		name: "a heartbeat between the evictor's look and its deletion", alsoStored: true,
		play: func(s *turns, d directory) string {
			s.on(0, func() { d.register("c1001", 1) })
			s.on(1, func() { d.evict(50, func() { s.on(0, func() { d.heartbeat("c1001", 1, 100) }) }) })
			return mustServe(d, 1)
		},
	},
	{
		name: "the client comes back between the evictor's look and its deletion", alsoStored: true,
		play: func(s *turns, d directory) string {
			s.on(0, func() { d.register("c1001", 1) })
			s.on(1, func() { d.evict(50, func() { s.on(2, func() { d.register("c1001", 2) }) }) })
			return mustServe(d, 2)
		},
	},
	{
		name: "a heartbeat that comes regularly",
		play: func(s *turns, d directory) string {
			s.on(0, func() { d.register("c1001", 1) })
			s.on(0, func() { d.heartbeat("c1001", 1, 100) })
			s.on(1, func() { d.evict(50, func() {}) })
			return mustServe(d, 1)
		},
	},
	{
		name: "the last heartbeat of a connection that was cleaned up", alsoStored: true,
		play: func(s *turns, d directory) string {
			var cleanup func()
			s.on(0, func() { cleanup = d.register("c1001", 1) })
			s.on(1, func() { cleanup() })
			s.on(0, func() { d.heartbeat("c1001", 1, 100) })
			if _, ok := d.lookup("c1001"); ok {
				return "a closed connection is registered again"
			}
			return ""
		},
	},
}

func mustServe(d directory, c int) string {
	switch m, ok := d.lookup("c1001"); {
	case !ok:
		return "the live connection is not registered"
	case m.Conn != c:
		return "the client is registered with a connection that is not the live one"
	}
	return ""
}

func TestLiveConnectionKeepsItsEntryInEveryOrderOfSteps(t *testing.T) {
	for _, c := range schedules {
		t.Run(c.name, func(t *testing.T) {
			s := newTurns(t, 3)
			if wrong := c.play(s, &naive{}); wrong == "" {
				t.Error("the article's registry survives this order: it shows nothing")
			}
			if wrong := c.play(s, &storing{}); (wrong != "") != c.alsoStored {
				t.Errorf("with Store in place of LoadOrStore: %q", wrong)
			}
			if wrong := c.play(s, &ours{own: map[int]*registry.Entry[string, meta]{}}); wrong != "" {
				t.Errorf("with a Registry: %s", wrong)
			}
		})
	}
}

// Two callers get or create the record of one peer; the first leaves while the second is about to use it.
func TestWhatWasFoundCannotVanishBeforeItIsUsed(t *testing.T) {
	t.Run("naive", func(t *testing.T) {
		s := newTurns(t, 2)
		var m sync.Map
		var first, second, third any
		s.on(0, func() { first, _ = m.LoadOrStore("db-1", &meta{Conn: 1}) })
		s.on(1, func() { second, _ = m.LoadOrStore("db-1", &meta{Conn: 2}) })
		s.on(0, func() { m.CompareAndDelete("db-1", first) }) // even with identity: it is the one the other has found
		s.on(0, func() { third, _ = m.LoadOrStore("db-1", &meta{Conn: 3}) })
		if second == third {
			t.Error("both use one record: this order shows nothing")
		}
	})
	t.Run("shares", func(t *testing.T) {
		s := newTurns(t, 2)
		var r registry.Registry[string, meta]
		var first, second, third *registry.Share[string, meta]
		s.on(0, func() { first, _ = r.Join("db-1", meta{Conn: 1}) })
		s.on(1, func() { second, _ = r.Join("db-1", meta{Conn: 2}) })
		s.on(0, func() { first.Leave() })
		s.on(0, func() { third, _ = r.Join("db-1", meta{Conn: 3}) })
		if second.Entry() != third.Entry() || !second.Entry().Current() {
			t.Error("two hold different records of one peer")
		}
	})
}

// A deletion is two steps. Between them nobody finds the entry, and the key is free for others, whom the second step leaves alone.
func TestHalfDeletedEntryIsGoneForEverybody(t *testing.T) {
	for name, come := range map[string]func(r *registry.Registry[string, int]) *registry.Entry[string, int]{
		"Join": func(r *registry.Registry[string, int]) *registry.Entry[string, int] {
			s, joined := r.Join("c1001", 2)
			if joined {
				t.Error("Join: an ended entry was joined")
			}
			return s.Entry()
		},
		"Put": func(r *registry.Registry[string, int]) *registry.Entry[string, int] {
			own, _, replaced := r.Put("c1001", 2)
			if replaced {
				t.Error("Put: an ended entry was replaced")
			}
			return own
		},
	} {
		var r registry.Registry[string, int]
		old, _, _ := r.Put("c1001", 1)
		registry.EndHalfway(old)
		if _, ok := r.Load("c1001"); ok || r.Len() != 0 || old.Delete() {
			t.Errorf("%s: half a deletion is no deletion to others", name)
		}
		next := come(&r)
		registry.Finish(old)
		if e, ok := r.Find("c1001"); !ok || e != next || !next.Current() {
			t.Errorf("%s: the second half of the old entry's deletion hit the new one", name)
		}
	}
}
