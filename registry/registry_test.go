package registry_test

import (
	"runtime"
	"slices"
	"testing"

	"herz.example/herz/registry"
)

func TestOwnerEndsItsOwnEntryAndNoOther(t *testing.T) {
	var r registry.Registry[string, meta]
	older, _, replaced := r.Put("c1001", meta{Conn: 1})
	if replaced {
		t.Error("something was replaced in an empty registry")
	}
	newer, before, replaced := r.Put("c1001", meta{Conn: 2})
	if !replaced || before.Conn != 1 {
		t.Errorf("the newer connection was told that it replaced %v, %v", before, replaced)
	}
	if older.Current() || older.Delete() || older.Store(meta{Conn: 1, LastSeen: 9}) || older.DeleteIf(func(meta) bool { return true }) {
		t.Error("a replaced entry still takes effect")
	}
	if got, ok := r.Load("c1001"); !ok || got.Conn != 2 || newer.Key() != "c1001" || !newer.Current() {
		t.Errorf("the newer connection's entry is %v, %v", got, ok)
	}
	if !newer.Delete() || newer.Delete() {
		t.Error("an entry ends once")
	}
	if _, ok := r.Load("c1001"); ok || r.Len() != 0 {
		t.Error("a deleted entry is still there")
	}
}

func TestEndedEntryIsNeverBroughtBack(t *testing.T) {
	var r registry.Registry[string, meta]
	e, _, _ := r.Put("c1001", meta{Conn: 1})
	e.Delete()
	if e.Store(meta{Conn: 1, LastSeen: 5}) || e.Update(func(m meta) meta { return m }) {
		t.Error("a heartbeat that came late was accepted")
	}
	if _, ok := e.Load(); ok {
		t.Error("an ended entry has a value")
	}
	if _, ok := r.Find("c1001"); ok {
		t.Error("the late heartbeat brought the entry back")
	}
}

func TestEntryStaysWhileOneShareIsHeld(t *testing.T) {
	var r registry.Registry[string, meta]
	a, joined := r.Join("db-1:5432", meta{Conn: 1})
	if joined {
		t.Error("the first one joined nobody")
	}
	b, joined := r.Join("db-1:5432", meta{Conn: 2})
	if !joined || a.Entry() != b.Entry() {
		t.Error("two have a share of different entries")
	}
	for range 2 { // to leave twice is to leave once
		if a.Leave() {
			t.Error("the entry ended while it was held")
		}
	}
	if got, ok := r.Load("db-1:5432"); !ok || got.Conn != 1 {
		t.Errorf("of a shared entry is left: %v, %v", got, ok)
	}
	if !b.Leave() || r.Len() != 0 {
		t.Error("the last one left and the entry stayed")
	}
	if c, joined := r.Join("db-1:5432", meta{Conn: 3}); joined || c.Entry() == a.Entry() {
		t.Error("an ended entry was joined")
	}
}

func TestJoinedEntryOfAnOwnerEndsWithTheOwner(t *testing.T) {
	var r registry.Registry[string, meta]
	own, _, _ := r.Put("c1001", meta{Conn: 1})
	s, joined := r.Join("c1001", meta{Conn: 2})
	if !joined || s.Entry() != own {
		t.Fatal("the owner's entry was not joined")
	}
	if s.Leave() || !own.Current() {
		t.Error("a guest that left took the owner's entry along")
	}
	s, _ = r.Join("c1001", meta{})
	if !own.Delete() || s.Entry().Current() || s.Leave() {
		t.Error("the owner's entry outlived it")
	}
}

func TestAllShowsWhatIsThereAndCanEvictIt(t *testing.T) {
	var r registry.Registry[int, meta]
	for i := range 100 {
		r.Put(i, meta{Conn: i, LastSeen: i})
	}
	for e := range r.All() {
		e.DeleteIf(func(m meta) bool { return m.LastSeen < 40 })
	}
	var keys []int
	for e, m := range r.All() {
		if e.Key() != m.Conn {
			t.Errorf("key %d has the value of %d", e.Key(), m.Conn)
		}
		keys = append(keys, e.Key())
	}
	slices.Sort(keys)
	if len(keys) != 60 || keys[0] != 40 || keys[59] != 99 || r.Len() != 60 {
		t.Errorf("left are %v", keys)
	}
	for range r.All() {
		break // a loop may end early
	}
}

func TestLoadAllocatesNothing(t *testing.T) {
	var byName registry.Registry[string, meta]
	var byID registry.Registry[uint64, *meta]
	var byPlace registry.Registry[[2]string, meta]
	names := []string{"10.0.0.7:6379", "10.0.0.8:6379"}
	byName.Put(names[0], meta{Conn: 1})
	byID.Put(1<<40, &meta{})
	e, _, _ := byPlace.Put([2]string{names[0], names[1]}, meta{})
	i := 0
	for what, f := range map[string]func(){
		"Load by string":   func() { i++; byName.Load(names[i%2]) },
		"Load by number":   func() { i++; byID.Load(1<<40 + uint64(i%2)) },
		"Load by struct":   func() { i++; byPlace.Load([2]string{names[0], names[i%2]}) },
		"Find":             func() { byName.Find(names[0]) },
		"Load of an entry": func() { e.Load() },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", what, n)
		}
	}
}

// A built-in map would stay as large as it was on its worst day.
func TestMemoryFollowsWhatIsConnected(t *testing.T) {
	const many = 100_000
	var r registry.Registry[int, meta]
	none := heap()
	own := make([]*registry.Entry[int, meta], 0, many)
	for i := range many {
		e, _, _ := r.Put(i, meta{Conn: i})
		own = append(own, e)
	}
	most := heap()
	for _, e := range own {
		e.Delete()
	}
	clear(own)
	if left := heap(); left-none > (most-none)/20 {
		t.Errorf("%d entries took %d bytes; after they ended, %d are still taken", many, most-none, left-none)
	}
	runtime.KeepAlive(&r)
}

// heap is what is reachable now.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkLoad(b *testing.B) {
	var r registry.Registry[string, meta]
	for _, k := range []string{"10.0.0.7:6379", "10.0.0.8:6379", "10.0.0.9:6379"} {
		r.Put(k, meta{})
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Load("10.0.0.8:6379")
		}
	})
}

func BenchmarkPutDelete(b *testing.B) {
	var r registry.Registry[uint64, meta]
	b.ReportAllocs()
	for i := range uint64(b.N) {
		e, _, _ := r.Put(i, meta{})
		e.Delete()
	}
}
