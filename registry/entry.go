package registry

import "sync/atomic"

// Entry is one registration: its address is its identity. It is current from when it was made until it is deleted, replaced by
// [Registry.Put], or left by the last holder of a [Share]; an ended entry never becomes current again.
type Entry[K comparable, V any] struct {
	registry *Registry[K, V]
	key      K
	value    atomic.Pointer[V] // what it points to never changes; nil once the entry has ended
	holders  atomic.Int64      // shares, and one for an owner by Put, who never leaves; 0 is final
}

func newEntry[K comparable, V any](r *Registry[K, V], key K, value V) *Entry[K, V] {
	e := &Entry[K, V]{registry: r, key: key}
	e.value.Store(&value)
	e.holders.Store(1)
	return e
}

// Key is what the entry is registered under.
func (e *Entry[K, V]) Key() K { return e.key }

// Current reports whether the entry is still the one under its key.
func (e *Entry[K, V]) Current() bool { return e.value.Load() != nil }

// Load gives the entry's value; false when the entry has ended.
func (e *Entry[K, V]) Load() (V, bool) {
	if v := e.value.Load(); v != nil {
		return *v, true
	}
	var none V
	return none, false
}

// Store replaces the entry's value, whatever it is. It reports false, and does nothing, when the entry has ended.
func (e *Entry[K, V]) Store(value V) bool {
	for old := e.value.Load(); old != nil; old = e.value.Load() {
		if e.value.CompareAndSwap(old, &value) {
			return true
		}
	}
	return false
}

// Update replaces the entry's value by what f makes of it. When the value was replaced meanwhile, f is called again with the
// new one, so that no update is lost. It reports false when the entry has ended.
func (e *Entry[K, V]) Update(f func(V) V) bool {
	for {
		old := e.value.Load()
		if old == nil {
			return false
		}
		next := f(*old)
		if e.value.CompareAndSwap(old, &next) {
			return true
		}
	}
}

// Delete ends the entry. It removes this entry and never another under the same key. It reports whether this call ended it.
func (e *Entry[K, V]) Delete() bool {
	if e.value.Swap(nil) == nil {
		return false
	}
	e.remove()
	return true
}

// DeleteIf ends the entry when f holds of its value: of the very value that is there when it ends. When the value was replaced while f
// was at work, f is asked again. It reports whether this call ended the entry.
func (e *Entry[K, V]) DeleteIf(f func(V) bool) bool {
	for {
		old := e.value.Load()
		if old == nil || !f(*old) {
			return false
		}
		if e.value.CompareAndSwap(old, nil) {
			e.remove()
			return true
		}
	}
}

// remove takes the ended entry out of the map, if it is still what its key leads to.
func (e *Entry[K, V]) remove() { e.registry.entries.CompareAndDelete(e.key, e) }

// hold takes a share of the entry; false when it has ended.
func (e *Entry[K, V]) hold() bool {
	for n := e.holders.Load(); n > 0; n = e.holders.Load() {
		if e.holders.CompareAndSwap(n, n+1) {
			return e.Current() // what has ended may be held by any number; nobody counts it any more
		}
	}
	return false
}

// Share is one holder's part in an entry that several use.
type Share[K comparable, V any] struct {
	entry *Entry[K, V]
	left  atomic.Bool
}

// Entry is what is shared.
func (s *Share[K, V]) Entry() *Entry[K, V] { return s.entry }

// Leave gives the share back. The last one to leave ends the entry. It reports whether this call ended it; a second call of one
// holder does nothing.
func (s *Share[K, V]) Leave() bool {
	if s.left.Swap(true) || s.entry.holders.Add(-1) > 0 {
		return false
	}
	return s.entry.Delete()
}
