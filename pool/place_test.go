package pool

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
)

// rested gives a pool in which n connections rest that were used one tick of the clock after the other.
func rested(t *testing.T, n int) *Pool[*num] {
	t.Helper()
	p := newPlain(t, func(c *Config[*num]) {
		c.Limits = Limits{MaxOpen: n, MaxDialing: n, MaxIdleTime: -1, MaxLifetime: -1, HeartbeatEvery: time.Hour}
	})
	held := make([]Lease[*num], n)
	for i := range held {
		held[i] = take(t, p)
	}
	for _, l := range held {
		l.Release()
		time.Sleep(2 * tick)
	}
	p.mu.Lock()
	p.sweepSlotsLocked()
	p.mu.Unlock()
	return p
}

// inOrder fails the test unless n connections lie in the list, youngest first, and none remembers a neighbour.
func inOrder(t *testing.T, p *Pool[*num], n int) {
	t.Helper()
	got := 0
	for e := p.idle.head; e != nil; e = e.next {
		got++
		if e.next != nil && e.next.stamp.Load() > e.stamp.Load() {
			t.Errorf("number %d from the head was used before the one behind it", got)
		}
		if e.near != nil {
			t.Errorf("number %d from the head remembers its old neighbour, which may be closed by now", got)
		}
	}
	if got != n || p.idle.n != n {
		t.Errorf("%d lie in the list, which counts %d, want %d", got, p.idle.n, n)
	}
}

func TestPingedConnectionIsLaidBackInAFewStepsThoughThousandsRest(t *testing.T) {
	const n, batch = 2_000, 80
	for name, order := range map[string]func([]*entry[*num]){
		"as they were taken":       func([]*entry[*num]) {},
		"the other way round":      slices.Reverse[[]*entry[*num]],
		"as their answers came in": func(l []*entry[*num]) { rand.Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] }) },
	} {
		for spread, every := range map[string]int{"side by side": 1, "each alone": 7} {
			t.Run(name+", "+spread, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := rested(t, n)
					p.mu.Lock()
					defer p.mu.Unlock()
					r := p.rules.Load()
					now := p.exact() + int64(r.HeartbeatEvery)
					i := 0
					for e := p.idle.tail; e != nil; e = e.prev {
						if i++; i < n/2 || i >= n/2+batch*every || i%every != 0 {
							e.proven.Store(now)
						}
					}
					var work rounds[*num]
					work.idleLocked(p, r, now)
					if len(work.beats) != batch {
						t.Fatalf("%d are to be pinged, want %d", len(work.beats), batch)
					}
					order(work.beats)
					total := 0
					for _, e := range work.beats {
						p.settledLocked(e)
						_, steps := p.idle.place(e.stamp.Load(), e.near)
						total += steps
						p.insertLocked(e)
					}
					if total > batch*batch/2 {
						t.Errorf("%d steps for %d connections: they are sought through the %d that rest", total, batch, n)
					}
					inOrder(t, p, n)
				})
			})
		}
	}
}

func TestNeighbourThatWasUsedOrIsOutNeverMisplacesAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 40
		p := rested(t, n)
		p.mu.Lock()
		defer p.mu.Unlock()
		all := slices.Clone(p.all)
		for range 2_000 {
			e, near := all[rand.IntN(n)], all[rand.IntN(n)]
			p.idle.remove(e)
			out := rand.IntN(2) == 0 && near != e
			if out {
				p.idle.remove(near)
			}
			if rand.IntN(2) == 0 {
				e.stamp.Store(all[rand.IntN(n)].stamp.Load() + rand.Int64N(3) - 1)
			}
			e.near = near
			p.insertLocked(e)
			if out {
				p.insertLocked(near)
			}
			inOrder(t, p, n)
			if t.Failed() {
				return
			}
		}
	})
}

func TestConnectionThatLeavesTheListForgetsItsNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, leave := range map[string]func(*Pool[*num], *entry[*num]){
			"closed": func(p *Pool[*num], e *entry[*num]) { p.bury(e, e.cell.Load(), conn.Heartbeat, nil) },
			"lent to somebody who waited": func(p *Pool[*num], e *entry[*num]) {
				got := make(chan Lease[*num])
				go func() { got <- take(t, p) }()
				synctest.Wait()
				p.handBack(e, e.cell.Load())
				defer (<-got).Release()
			},
		} {
			p := newPlain(t, func(c *Config[*num]) { c.Limits = Limits{MaxOpen: 2, MaxIdleTime: -1, HeartbeatEvery: time.Hour} })
			a, b := take(t, p), take(t, p)
			a.Release()
			time.Sleep(2 * tick)
			b.Release()
			p.mu.Lock()
			p.sweepSlotsLocked()
			young, old := p.idle.head, p.idle.tail
			p.idle.remove(old)
			p.idle.remove(young)
			old.near = young
			p.mu.Unlock()
			leave(p, old)
			p.mu.Lock()
			if old.near != nil {
				t.Errorf("%s: it keeps its old neighbour from the garbage collector", name)
			}
			p.insertLocked(young)
			p.mu.Unlock()
		}
	})
}
