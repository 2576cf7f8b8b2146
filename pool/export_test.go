package pool

// Looks is how often the maintenance goroutine woke up and looked at the pool.
func (p *Pool[T]) Looks() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.looks
}
