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
	set  atomic.Pointer[sys.Events]

	wakeups atomic.Uint64 // events that were delivered
}

// watch puts c under the watcher; false when it cannot be watched. Inside a synctest bubble it always is: the goroutine would
// belong to the bubble, and the callback of a bubble's channel cannot run outside it.
func watch(c *Conn) bool {
	if c.raw == nil || c.noSweep {
		return false
	}
	watcher.mu.Lock()
	defer watcher.mu.Unlock()
	set := watcher.set.Load()
	if set == nil {
		var err error
		if set, err = sys.NewEvents(); err != nil {
			return false // too many open files, or not Linux: poll and the next read still find the death
		}
		watcher.set.Store(set)
		go set.Run(dispatch)
	}
	var err error
	if cerr := c.raw.Control(func(fd uintptr) { err = set.Add(fd, c.id) }); cerr != nil || err != nil {
		closeIfUnusedLocked()
		return false
	}
	watcher.refs++
	return true
}

// unwatch gives back what watch took. The last one ends the watcher.
func unwatch() {
	watcher.mu.Lock()
	defer watcher.mu.Unlock()
	watcher.refs--
	closeIfUnusedLocked()
}

// closeIfUnusedLocked needs watcher.mu.
func closeIfUnusedLocked() {
	if watcher.refs > 0 {
		return
	}
	if set := watcher.set.Swap(nil); set != nil {
		set.Close()
	}
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
