package guard

// Wakeups is the number of events that the watcher was woken for.
func Wakeups() uint64 { return watcher.wakeups.Load() }

// Watching reports whether the watcher runs.
func Watching() bool { return watcher.set.Load() != nil }

// Sweeping reports whether the sweep runs.
func Sweeping() bool {
	sweeper.mu.Lock()
	defer sweeper.mu.Unlock()
	return sweeper.running
}

// Armed reports whether the keep-alive of a waiting exchange is on.
func Armed(c *Conn) bool {
	c.armMu.Lock()
	defer c.armMu.Unlock()
	return c.armed
}

// Places is the number of addresses that the registry knows.
func Places() int { return places.Len() }
