package registry_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"herz.example/herz/registry"
)

// whileRunning calls check again and again on a goroutine of its own, until the returned function is called.
func whileRunning(check func() bool) (stop func()) {
	var over atomic.Bool
	var done sync.WaitGroup
	done.Go(func() {
		for !over.Load() && check() {
		}
	})
	return func() { over.Store(true); done.Wait() }
}

// Clients reconnect under one key, and each old connection cleans up after its successor has registered. From the first
// registration on there is a live connection at every moment, so the key must never be found empty.
func TestLiveConnectionIsAlwaysFoundWhileClientsReconnect(t *testing.T) {
	const clients, reconnects = 8, 2000
	var r registry.Registry[string, int64]
	var ids atomic.Int64
	connect := func() *registry.Entry[string, int64] {
		e, _, _ := r.Put("c1001", ids.Add(1))
		return e
	}
	newest := make(chan *registry.Entry[string, int64], 1) // the client's connection; whoever takes it reconnects
	newest <- connect()

	stop := whileRunning(func() bool {
		if id, ok := r.Load("c1001"); !ok || id == 0 {
			t.Errorf("a live connection has the entry %d, %v", id, ok)
			return false
		}
		if e, ok := r.Find("c1001"); !ok || e.Key() != "c1001" {
			t.Error("a live connection has no entry to find")
			return false
		}
		if n := r.Len(); n != 1 {
			t.Errorf("one client is registered %d times", n)
			return false
		}
		return true
	})
	var work sync.WaitGroup
	for range clients {
		work.Go(func() {
			for range reconnects {
				old := <-newest
				next := connect()
				newest <- next // from here on others replace it in turn
				if old.Current() || old.Delete() || old.Store(-1) {
					t.Error("the old connection still had its entry")
				}
			}
		})
	}
	work.Wait()
	stop()
	if e, ok := r.Find("c1001"); !ok || e != <-newest || r.Len() != 1 {
		t.Errorf("the last connection is not registered, or not alone: %d entries", r.Len())
	}
}

// Everybody registers without asking, cleans up its own and refreshes its own: at the end nobody is left, and of all
// registrations each was ended exactly once, by a successor or by its owner.
func TestEveryEntryEndsExactlyOnce(t *testing.T) {
	const clients, rounds = 8, 2000
	var r registry.Registry[int, int]
	var ended atomic.Int64
	var work sync.WaitGroup
	for c := range clients {
		work.Go(func() {
			for i := range rounds {
				own, _, replaced := r.Put(i%3, c)
				if replaced {
					ended.Add(1)
				}
				own.Update(func(by int) int { return by })
				if by, ok := own.Load(); ok && by != c {
					t.Errorf("the entry of %d is %d's", c, by)
				}
				if i%2 == 0 && own.Delete() || i%2 == 1 && own.DeleteIf(func(by int) bool { return by == c }) {
					ended.Add(1)
				}
			}
		})
	}
	work.Wait()
	if n := r.Len(); n != 0 || ended.Load() != clients*rounds {
		t.Errorf("%d entries are left; of %d registrations %d were ended", n, clients*rounds, ended.Load())
	}
}

// While a share is held, what it is a share of is what everybody finds, and an update is never lost.
func TestHeldShareIsWhatEverybodyFinds(t *testing.T) {
	const users, rounds = 8, 2000
	var r registry.Registry[string, int]
	var made, ended atomic.Int64
	var work sync.WaitGroup
	for range users {
		work.Go(func() {
			for range rounds {
				s, joined := r.Join("db-1", 0)
				if !joined {
					made.Add(1)
				}
				if !s.Entry().Update(func(users int) int { return users + 1 }) {
					t.Error("the entry vanished between being found and being used")
				}
				if e, ok := r.Find("db-1"); !ok || e != s.Entry() {
					t.Error("another entry is found than the one that is held")
				}
				s.Entry().Update(func(users int) int { return users - 1 })
				if s.Leave() {
					ended.Add(1)
				}
			}
		})
	}
	work.Wait()
	if made.Load() != ended.Load() || r.Len() != 0 {
		t.Errorf("%d entries were made, %d ended, %d are left", made.Load(), ended.Load(), r.Len())
	}
}
