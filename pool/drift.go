package pool

import (
	"slices"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// settleTime is how long a guard has to hear of what the kernel knows already. Its watcher needs microseconds.
const settleTime = 2 * time.Millisecond

// Drift is how many connections the pool takes for open that are not, as the kernel says. It asks the kernel for each, which costs about half a
// microsecond a connection, and waits for 2 ms where the two differ. 0 where the kernel cannot be asked.
func (p *Pool[T]) Drift() int {
	p.mu.Lock()
	all := make([]*guard.Conn, 0, len(p.all))
	for _, e := range p.all {
		if s := e.cell.Load().State(); e.guard != nil && (s == conn.Idle || s == conn.Checking || s == conn.InUse) {
			all = append(all, e.guard)
		}
	}
	p.mu.Unlock()
	return Drifted(all)
}

// Drifted is how many of the guards differ from the kernel, and go on to for 2 ms.
func Drifted(all []*guard.Conn) int {
	all = slices.DeleteFunc(all, func(g *guard.Conn) bool { return !g.Drifted() })
	if len(all) == 0 {
		return 0
	}
	time.Sleep(settleTime)
	return len(slices.DeleteFunc(all, func(g *guard.Conn) bool { return !g.Drifted() }))
}
