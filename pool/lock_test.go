package pool

import (
	"runtime"
	"testing"
	"time"
)

// relist writes what orders the idle connections.
func relist(p *Pool[*num]) {
	e := p.idle.head
	p.idle.remove(e)
	p.insertLocked(e)
}

// standInLine writes what orders those who wait.
func standInLine(p *Pool[*num]) {
	w := p.spares.take()
	p.joinLocked(w, false)
	p.leaveLocked(w)
	p.spares.put(w)
}

// Each function is called while the lock is held, and what it uses is written meanwhile. Nothing but the lock puts the two in an order: were
// it left out, the race detector would tell, whichever came first.
func TestWhatTheLockGuardsIsNeverTouchedWithoutIt(t *testing.T) {
	for _, c := range []struct {
		name  string
		out   bool // the connection that is given to the function was taken out of the store before
		call  func(p *Pool[*num], e *entry[*num])
		write func(p *Pool[*num])
		idle  int // connections that rest in the end, of two
	}{
		{"died", false, func(p *Pool[*num], e *entry[*num]) { p.died(e) }, relist, 1},
		{"checkForWaiter", true, func(p *Pool[*num], e *entry[*num]) { p.checkForWaiter(e, e.cell.Load()) }, relist, 2},
		{"recheck", false, func(p *Pool[*num], e *entry[*num]) { p.recheck(e) }, func(p *Pool[*num]) { p.idle.head.asked = false }, 2},
		{"setWarm", false, func(p *Pool[*num], _ *entry[*num]) { p.setWarm(0) }, func(p *Pool[*num]) { p.warm = 1 }, 2},
		{"waiting", false, func(p *Pool[*num], _ *entry[*num]) { p.waiting() }, standInLine, 2},
		{"StackMarks", false, func(p *Pool[*num], _ *entry[*num]) { p.StackMarks() }, standInLine, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlain(t, nil)
			a, b := take(t, p), take(t, p)
			a.Release()
			b.Release()
			over := make(chan struct{})
			p.mu.Lock()
			p.sweepSlotsLocked()
			e := p.idle.tail
			if c.out {
				p.idle.remove(e)
			}
			go func() {
				defer close(over)
				c.call(p, e)
			}()
			c.write(p)
			runtime.Gosched()
			select {
			case <-over:
				t.Error("it did its work while somebody else held the lock")
			default:
			}
			p.mu.Unlock()
			<-over
			for deadline := time.Now().Add(5 * time.Second); p.Stats().Idle != c.idle; runtime.Gosched() {
				if time.Now().After(deadline) {
					t.Fatalf("%d connections rest, want %d", p.Stats().Idle, c.idle)
				}
			}
			if n := listed(t, p); n != c.idle {
				t.Errorf("%d connections lie in the list, want %d", n, c.idle)
			}
		})
	}
}
