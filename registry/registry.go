package registry

import (
	"iter"
	"sync"
)

// Registry maps keys to entries with an identity. The zero value is empty and ready. It must not be copied after its first use.
type Registry[K comparable, V any] struct {
	entries sync.Map // K → *Entry[K, V]
}

// Put makes an entry of the caller's own under key. What was there until now ends at once: its handle reports false from now on.
// Its last value is given back, so that the caller can close the older connection; replaced is false when there was none.
func (r *Registry[K, V]) Put(key K, value V) (own *Entry[K, V], before V, replaced bool) {
	own = newEntry(r, key, value)
	if there, ok := r.entries.Swap(key, own); ok {
		if v := there.(*Entry[K, V]).value.Swap(nil); v != nil {
			return own, *v, true
		}
	}
	return own, before, false
}

// Join gives a share of the entry under key, and makes one that holds value when there is none; joined tells which. The entry
// ends when the last share was left, or when somebody deletes or replaces it on purpose.
func (r *Registry[K, V]) Join(key K, value V) (s *Share[K, V], joined bool) {
	var own *Entry[K, V]
	for { // each turn more means that somebody else made or ended an entry
		if there, ok := r.entries.Load(key); ok {
			e := there.(*Entry[K, V])
			if e.hold() {
				return &Share[K, V]{entry: e}, true
			}
			e.remove() // it has ended; whoever ended it may not have come to this yet
			continue
		}
		if own == nil {
			own = newEntry(r, key, value)
		}
		if _, taken := r.entries.LoadOrStore(key, own); !taken {
			return &Share[K, V]{entry: own}, false
		}
	}
}

// Load gives the value under key, or false. It takes no lock and allocates nothing.
func (r *Registry[K, V]) Load(key K) (V, bool) {
	_, v := r.look(key)
	if v == nil {
		var none V
		return none, false
	}
	return *v, true
}

// Find gives the entry under key, for those who want to change or end exactly what they found.
func (r *Registry[K, V]) Find(key K) (*Entry[K, V], bool) {
	e, v := r.look(key)
	return e, v != nil
}

// look gives the entry under key with its value; both are nil when there is none.
func (r *Registry[K, V]) look(key K) (*Entry[K, V], *V) {
	there, ok := r.entries.Load(key)
	for ok {
		e := there.(*Entry[K, V])
		if v := e.value.Load(); v != nil {
			return e, v
		}
		// It ended. Who was replaced ends after the successor is in its place, so that the key is not empty; who was deleted
		// ends before it leaves its place, so that finding the same again means that there is nobody.
		if there, ok = r.entries.Load(key); there == any(e) {
			break
		}
	}
	return nil, nil
}

// All goes over the entries and their values, in no order. Entries may be made and ended meanwhile: no key is seen twice, a key that was there
// all the time is seen once, and a value is what the entry held when its turn came.
func (r *Registry[K, V]) All() iter.Seq2[*Entry[K, V], V] {
	return func(yield func(*Entry[K, V], V) bool) {
		r.entries.Range(func(key, _ any) bool {
			e, v := r.look(key.(K))
			return v == nil || yield(e, *v)
		})
	}
}

// Len counts the entries by going over all of them.
func (r *Registry[K, V]) Len() int {
	n := 0
	for range r.All() {
		n++
	}
	return n
}
