package pool

import (
	"context"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// step is one return of a connection, taken apart, so that something can happen in the middle of it.
type step struct {
	p    *Pool[net.Conn]
	a, b *entry[net.Conn] // both lent; the one slot points to a
}

func newStep(t *testing.T) step {
	t.Helper()
	before := runtime.GOMAXPROCS(1) // one slot
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	p, err := New(Config[net.Conn]{Dial: func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		t.Cleanup(func() { _ = far.Close() })
		return guard.Wrap(near, guard.Options{}), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	s := step{p: p}
	for _, e := range []**entry[net.Conn]{&s.a, &s.b} {
		l, err := p.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		*e = l.e
	}
	if p.berth(s.a) == nil {
		t.Fatal("a connection whose slot holds nothing that is offered found no place")
	}
	return s
}

// giveBack returns a, with meanwhile between the choice of its slot and its offer.
func (s step) giveBack(t *testing.T, meanwhile func()) {
	t.Helper()
	at := s.p.berth(s.a)
	meanwhile()
	if !s.a.cell.Offer(s.a.cell.Load()) {
		t.Fatal("its user could not return it")
	}
	if s.p.overtaken(s.a, at) {
		s.p.takeBack(s.a)
	}
}

// resting reports whether e can be found: by its slot when it is offered, else in the idle list.
func (s step) resting(e *entry[net.Conn]) bool {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if e.cell.Load().Offered() {
		return s.p.slots[0].e.Load() == e
	}
	return e.listed
}

func TestOfferWhoseSlotWasTakenMeanwhileIsFoundElsewhere(t *testing.T) {
	s := newStep(t)
	s.giveBack(t, func() { s.p.berth(s.b) })
	if !s.resting(s.a) {
		t.Error("a connection that was returned while another took its slot is idle and nobody finds it")
	}
}

func TestOfferMadeBeforeItsSlotIsTakenIsFoundElsewhere(t *testing.T) {
	s := newStep(t)
	old := s.p.slots[0].e.Load()
	s.giveBack(t, func() {})
	if old != s.a || !s.resting(s.a) {
		t.Fatal("a plain return did not leave an offer")
	}
	s.p.slots[0].e.Store(s.b)
	s.p.takeBack(s.a)
	if !s.resting(s.a) || s.a.cell.Load().Offered() {
		t.Error("an offer that lost its slot is idle and nobody finds it")
	}
}

func TestOfferIsTakenBackForSomebodyWhoJoinedMeanwhile(t *testing.T) {
	s := newStep(t)
	w := &waiter[net.Conn]{ch: make(chan grant[net.Conn], 1), ctx: context.Background(), until: never}
	s.giveBack(t, func() {
		s.p.mu.Lock()
		s.p.joinLocked(w, false)
		s.p.mu.Unlock()
	})
	select {
	case g := <-w.ch:
		if g.e != s.a || s.a.cell.Load().State() != conn.InUse {
			t.Errorf("the waiter got %v", g)
		}
	default:
		t.Error("somebody joined the line while a connection was returned, and both wait for each other")
	}
}

func TestOfferOfAConnectionThatDiedMeanwhileIsBuried(t *testing.T) {
	s := newStep(t)
	s.giveBack(t, func() {
		s.a.guard.OnDeath(nil) // the pool heard of it when the connection was still lent
		s.a.guard.Abort(conn.PeerRST)
	})
	if st := s.a.cell.Load().State(); st == conn.Idle || st == conn.InUse {
		t.Errorf("a connection that died while it was returned is %v", st)
	}
}

func TestOfferIsNotPushedOutByTheNextReturn(t *testing.T) {
	s := newStep(t)
	s.giveBack(t, func() {})
	if s.p.berth(s.b) != nil {
		t.Error("a return pushed out what was offered")
	}
	if !s.a.cell.Load().Offered() || !s.resting(s.a) {
		t.Error("the offer is gone")
	}
	s.p.handBack(s.b, s.b.cell.Load())
	if !s.resting(s.b) {
		t.Error("who found no slot does not rest in the list")
	}
}

func TestBuriedConnectionLeavesItsSlot(t *testing.T) {
	s := newStep(t)
	if !s.p.bury(s.a, s.a.cell.Load(), conn.Evicted, nil) {
		t.Fatal("its owner could not bury it")
	}
	if s.p.slots[0].e.Load() != nil {
		t.Error("a slot keeps a connection that is gone from being collected")
	}
}

// The one slot points to a connection that is lent, and two others are returned at the same moment: whose does not get it goes into the list.
func TestConnectionThatLosesItsSlotToAnotherIsStillFound(t *testing.T) {
	before := runtime.GOMAXPROCS(1) // one slot
	p := newPlain(t, func(c *Config[*num]) { c.Limits.MaxOpen = 3 })
	runtime.GOMAXPROCS(max(before, 4))
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	held := []Lease[*num]{take(t, p), take(t, p), take(t, p)}
	held[0].Release()
	held[0] = take(t, p) // the slot is its
	pair := newRace()
	defer pair.end()
	for i := range 30_000 {
		owner := slices.IndexFunc(held, func(l Lease[*num]) bool { return l.e == p.slots[0].e.Load() })
		if owner < 0 {
			t.Fatalf("round %d: the slot points to nothing that is lent", i)
		}
		held[0], held[owner] = held[owner], held[0]
		pair.run(held[1].Release, held[2].Release)
		for j := 1; j < 3; j++ {
			l, ok := p.TryAcquire() // at once: nobody else takes part
			if !ok {
				t.Fatalf("round %d: two rest, and one of them is not found: %+v", i, p.Stats())
			}
			held[j] = l
		}
	}
	for _, l := range held {
		l.Release()
	}
}

// race runs two functions at the same moment, again and again. It spins: to wake a goroutine takes longer than what is to be met.
type race struct {
	round, done atomic.Int64
	what        [2]func()
	all         sync.WaitGroup
}

func newRace() *race {
	r := &race{}
	for i := range r.what {
		r.all.Go(func() {
			for n := int64(1); ; n++ {
				for r.round.Load() < n {
					runtime.Gosched()
				}
				if r.what[i] == nil {
					return
				}
				r.what[i]()
				r.done.Add(1)
			}
		})
	}
	return r
}

func (r *race) run(a, b func()) {
	r.what = [2]func(){a, b}
	r.done.Store(0)
	r.round.Add(1)
	for r.done.Load() < 2 {
		runtime.Gosched()
	}
}

func (r *race) end() {
	r.what = [2]func(){}
	r.round.Add(1)
	r.all.Wait()
}
