package pool

import (
	"slices"
	"testing"
	"testing/synctest"
	"unsafe"
)

func TestMarksAreOfAllThatGoroutinesOfThePoolAreCalledWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlain(t, func(c *Config[*num]) { c.Limits = Limits{MaxOpen: 2} })
		place := &waiter[*num]{ch: make(chan grant[*num], 1)}
		p.mu.Lock()
		p.spares.put(place)
		p.mu.Unlock()
		if got := p.StackMarks(); len(got) != 1 || got[0] != uintptr(unsafe.Pointer(place)) {
			t.Errorf("of a place in the line that nobody has: %x", got)
		}
		rests, lent := take(t, p), take(t, p)
		var all [2]chan Lease[*num]
		for i := range all {
			all[i] = make(chan Lease[*num])
			go func() { all[i] <- take(t, p) }()
			synctest.Wait()
		}
		marks := p.StackMarks()
		has := func(what string, at uintptr) {
			t.Helper()
			if !slices.Contains(marks, at) {
				t.Errorf("%s has no mark", what)
			}
		}
		first, second := p.queue.head, p.queue.tail
		has("a connection", uintptr(unsafe.Pointer(rests.e)))
		has("another connection", uintptr(unsafe.Pointer(lent.e)))
		has("who waits for longest", uintptr(unsafe.Pointer(first)))
		has("who came last", uintptr(unsafe.Pointer(second)))
		rests.Release()
		lent.Release()
		for i := range all {
			got := <-all[i]
			got.Release()
		}
	})
}
