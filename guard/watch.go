package guard

import (
	"sync"
	"sync/atomic"

	"herz.example/herz/internal/sys"
)

// watcher owns the process's epoll set and the goroutine that waits in it. Both live from the first watched connection to
// the last.
var watcher struct {
	// mu guards refs and changes of set. Making and closing the set happens under it; no Conn is called.
	mu   sync.Mutex
	refs int
	set  atomic.Pointer[sys.Events] // nil exactly when refs is 0

	wakeups atomic.Uint64 // events that were delivered
}

// holdWatcher takes a share of the watcher for c, which starts it if need be; false when c cannot be watched. Inside a
// synctest bubble it never can: the goroutine would belong to the bubble, and what it calls back must not run outside.
func holdWatcher(c *Conn) bool {
	if c.raw == nil || c.noSweep {
		return false
	}
	watcher.mu.Lock()
	defer watcher.mu.Unlock()
	if watcher.set.Load() == nil {
		set, err := sys.NewEvents()
		if err != nil {
			return false // too many open files, or not Linux: poll and the next read still find the death
		}
		watcher.set.Store(set)
		go set.Run(dispatch) // until releaseWatcher closes the set
	}
	watcher.refs++
	return true
}

// releaseWatcher gives back what holdWatcher took. The last one ends the watcher.
func releaseWatcher() {
	watcher.mu.Lock()
	defer watcher.mu.Unlock()
	watcher.refs--
	if watcher.refs == 0 {
		watcher.set.Swap(nil).Close()
	}
}

// watch puts c into the set. It comes after show, because a death that is there already is told of at once and never
// again.
func (c *Conn) watch() {
	set := watcher.set.Load()
	if !c.holds || set == nil { // nil: somebody found c in Live and ended it already
		return
	}
	var err error
	cerr := c.raw.Control(func(fd uintptr) { err = set.Add(fd, c.id) })
	c.watched.Store(cerr == nil && err == nil)
}

func removeFromWatch(fd uintptr) {
	if set := watcher.set.Load(); set != nil {
		set.Del(fd)
	}
}

// dispatch runs on the watcher's goroutine. An event for an id that is no longer registered is that of a descriptor whose
// duplicate is still open: it is nobody's.
func dispatch(id uint64, what sys.Ready) {
	watcher.wakeups.Add(1)
	if what&sys.Gone == 0 {
		return
	}
	if c := registered(id); c != nil {
		c.gone(what)
	}
}
