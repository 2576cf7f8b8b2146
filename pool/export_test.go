package pool

// Looks is how often the maintenance goroutine woke up and looked at the pool.
func (p *Pool[T]) Looks() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.looks
}

// Locked runs f while the pool's lock is taken.
func (p *Pool[T]) Locked(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// Offered is how many connections are lent without the lock.
func (p *Pool[T]) Offered() int {
	n := 0
	for i := range p.slots {
		if e := p.slots[i].e.Load(); e != nil && e.cell.Load().Offered() {
			n++
		}
	}
	return n
}

// Backends is how many remote addresses are remembered.
func (p *Pool[T]) Backends() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.backends)
}
