package pool

import (
	"context"
	"fmt"
	"math"
	"time"

	"herz.example/herz/conn"
)

// closeWait is how long Close lets the goodbyes of idle connections take.
const closeWait = 250 * time.Millisecond

// Drain ends the pool gently: callers who wait and later ones get [ErrClosed], idle connections are closed, and Drain waits until the
// lent ones have been returned and closed too. Then the pool is closed. When ctx ends first, Drain returns an error that names who
// still holds connections; the pool goes on draining, and Close or another Drain may follow. A pool that is
// closed already drains at once.
func (p *Pool[T]) Drain(ctx context.Context) error {
	p.stopLending(draining)
	for {
		p.mu.Lock()
		left := len(p.all)
		changed := p.changeLocked()
		p.mu.Unlock()
		if left == 0 {
			return p.Close()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return p.stillHeld(ctx.Err())
		}
	}
}

func (p *Pool[T]) stillHeld(err error) error {
	g := p.glance()
	lent := fmt.Sprintf("%d connections are", g.held)
	if g.held == 1 {
		lent = "1 connection is"
	}
	text := fmt.Sprintf("herz/pool: drain %q: %s still lent", p.cfg.Name, lent)
	if len(g.holders) > 0 {
		h := g.holders[0]
		text += fmt.Sprintf(", #%d for %v", h.Conn, h.Held.Round(time.Millisecond))
		if h.Stack != "" {
			text += " by " + firstFrame(h.Stack)
		}
	}
	return fmt.Errorf("%s: %w", text, err)
}

// Close ends the pool at once: callers who wait get [ErrClosed], dials and pings are cancelled, idle connections are closed.
// It does not wait for users: what they hold is closed when they return it. It waits a quarter of a second at most for
// the goodbyes of idle connections; those that take longer end by themselves. Close may be called again and returns nil.
func (p *Pool[T]) Close() error {
	first := p.stopLending(closed)
	p.end()
	<-p.done
	p.awaitClosers()
	if first {
		p.emit(Event{Kind: PoolClosed})
	}
	return nil
}

// stopLending moves the pool to a later phase. It tells whether this call moved it.
func (p *Pool[T]) stopLending(to phase) bool {
	p.mu.Lock()
	if p.phase >= to {
		p.mu.Unlock()
		return false
	}
	if p.phase == open {
		p.gate.Add(shut)
	}
	p.phase = to
	p.failLocked(math.MaxUint64, ErrClosed)
	idle := p.takeAllIdleLocked()
	p.mu.Unlock()
	p.buryAll(idle, conn.Drained, nil)
	p.wake() // checks under way are cut
	return true
}

// awaitClosers waits until no dial, ping or close is under way, for closeWait at most.
func (p *Pool[T]) awaitClosers() {
	t := time.NewTimer(closeWait)
	defer t.Stop()
	for {
		p.mu.Lock()
		busy := p.closers+p.dialing+p.checking > 0
		changed := p.changeLocked()
		p.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-changed:
		case <-t.C:
			return
		}
	}
}
