package pool

import (
	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

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
	return guard.CountDrifted(all)
}
