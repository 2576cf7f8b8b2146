package registry_test

import (
	"testing"

	"pgregory.net/rapid"

	"herz.example/herz/registry"
)

// known is what a plain record knows of one entry.
type known struct {
	key     int
	value   int
	current bool
	holders int // shares that were not left; an owner by Put counts as one for ever
}

// record is the model: one current entry a key, found by looking through all that ever were.
type record []*known

func (r record) at(key int) *known {
	for _, k := range r {
		if k.current && k.key == key {
			return k
		}
	}
	return nil
}

func TestRegistryDoesWhatAPlainRecordDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r registry.Registry[int, int]
		var plain record
		entry := map[*known]*registry.Entry[int, int]{}
		type share struct {
			s    *registry.Share[int, int]
			of   *known
			left bool
		}
		var shares []*share
		key, number := rapid.IntRange(0, 2), rapid.IntRange(0, 9)
		pick := func(t *rapid.T) *known { // nil: nothing was made yet
			if len(plain) == 0 {
				return nil
			}
			return plain[rapid.IntRange(0, len(plain)-1).Draw(t, "entry")]
		}
		same := func(t *rapid.T, what string, got, want bool) {
			if got != want {
				t.Fatalf("%s reports %v", what, got)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k := &known{key: key.Draw(t, "key"), value: number.Draw(t, "value"), current: true, holders: 1}
				old := plain.at(k.key)
				e, before, replaced := r.Put(k.key, k.value)
				same(t, "Put", replaced, old != nil)
				if old != nil {
					same(t, "the value that was replaced", before == old.value, true)
					old.current = false
				}
				plain, entry[k] = append(plain, k), e
			},
			"join": func(t *rapid.T) {
				at, value := key.Draw(t, "key"), number.Draw(t, "value")
				of := plain.at(at)
				s, joined := r.Join(at, value)
				same(t, "Join", joined, of != nil)
				if of == nil {
					of = &known{key: at, value: value, current: true}
					plain, entry[of] = append(plain, of), s.Entry()
				}
				of.holders++
				same(t, "the entry that is shared", s.Entry() == entry[of], true)
				shares = append(shares, &share{s: s, of: of})
			},
			"leave": func(t *rapid.T) {
				if len(shares) == 0 {
					return
				}
				s := shares[rapid.IntRange(0, len(shares)-1).Draw(t, "share")]
				if !s.left {
					s.of.holders--
				}
				ends := !s.left && s.of.current && s.of.holders == 0
				s.left = true
				same(t, "Leave", s.s.Leave(), ends)
				if ends {
					s.of.current = false
				}
			},
			"update": func(t *rapid.T) {
				if k, add := pick(t), number.Draw(t, "add"); k != nil {
					same(t, "Update", entry[k].Update(func(v int) int { return v + add }), k.current)
					k.value += add
				}
			},
			"store": func(t *rapid.T) {
				if k, value := pick(t), number.Draw(t, "value"); k != nil {
					same(t, "Store", entry[k].Store(value), k.current)
					k.value = value
				}
			},
			"delete": func(t *rapid.T) {
				if k := pick(t); k != nil {
					same(t, "Delete", entry[k].Delete(), k.current)
					k.current = false
				}
			},
			"delete if": func(t *rapid.T) {
				if k, limit := pick(t), number.Draw(t, "limit"); k != nil {
					same(t, "DeleteIf", entry[k].DeleteIf(func(v int) bool { return v < limit }), k.current && k.value < limit)
					k.current = k.current && k.value >= limit
				}
			},
			"": func(t *rapid.T) {
				live := 0
				for _, k := range plain {
					v, ok := entry[k].Load()
					if ok != k.current || ok && v != k.value || entry[k].Current() != k.current || entry[k].Key() != k.key {
						t.Fatalf("the entry holds %d, %v; it should be %+v", v, ok, *k)
					}
					found, there := r.Find(k.key)
					if k.current {
						live++
						same(t, "Find", there && found == entry[k], true)
					}
					if v, ok = r.Load(k.key); k.current && (!ok || v != k.value) {
						t.Fatalf("Load gives %d, %v; the entry is %+v", v, ok, *k)
					}
				}
				for e, v := range r.All() {
					if k := plain.at(e.Key()); k == nil || entry[k] != e || v != k.value {
						t.Fatalf("All shows %d under %d, where the record has %+v", v, e.Key(), k)
					}
				}
				if n := r.Len(); n != live {
					t.Fatalf("Len gives %d of %d", n, live)
				}
			},
		})
	})
}
