package pool

import (
	"context"
	"errors"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// num is a connection that is nothing but itself.
type num struct{ _ int }

// newPlain makes a pool of nums.
func newPlain(t *testing.T, change func(*Config[*num])) *Pool[*num] {
	t.Helper()
	cfg := Config[*num]{Dial: func(context.Context) (*num, error) { return &num{}, nil }}
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func take(t *testing.T, p *Pool[*num]) Lease[*num] {
	t.Helper()
	l, err := p.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPauseAfterFailedDialsDoublesFromTenMillisecondsToASecond(t *testing.T) {
	var full, half backoff
	for i, ms := range []int{10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
		want := time.Duration(ms) * time.Millisecond
		full.fail(5, 0)
		half.fail(5, 1)
		if full.until != 5+int64(want) || half.until != 5+int64(want/2) {
			t.Errorf("after %d failures the pause is %v, and %v with all that chance takes off; want %v and %v", i+1,
				time.Duration(full.until-5), time.Duration(half.until-5), want, want/2)
		}
	}
	for range 100 {
		full.fail(5, 0)
	}
	if full.until != 5+int64(time.Second) {
		t.Errorf("after 109 failures the pause is %v", time.Duration(full.until-5))
	}
}

func TestOneLookServesAStormOfRefusalsForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlain(t, nil)
		rests, held := take(t, p), take(t, p)
		time.Sleep(time.Second)
		rests.Release()
		time.Sleep(time.Second)
		first := p.glance()
		if len(first.holders) != 1 || first.holders[0].Conn != held.e.id || first.holders[0].Held != 2*time.Second {
			t.Errorf("one connection is held for 2 s and one rests; the holders are %+v", first.holders)
		}
		time.Sleep(10 * time.Millisecond)
		if p.glance() != first {
			t.Error("a look was taken again after 10 ms")
		}
		time.Sleep(10 * time.Millisecond)
		if p.glance() == first {
			t.Error("a look of 20 ms ago was told as the truth")
		}
		held.Release()
	})
}

func TestLossIsReportedOnlyOfALeaseThatIsOut(t *testing.T) {
	p := newPlain(t, nil)
	l := take(t, p)
	e, seq := l.e, l.seq
	l.Release()
	p.leaked(lost[*num]{e, seq}) // the collector was faster than the end of its watch
	again := take(t, p)
	p.leaked(lost[*num]{e, seq})
	if s := again.e.cell.Load().State(); again.e != e || s != conn.InUse {
		t.Errorf("the connection of a lease that was returned is %v", s)
	}
	again.Release()
	if n := p.Stats().Closed[conn.Leaked]; n != 0 {
		t.Errorf("%d connections were destroyed as lost", n)
	}
}

func TestPoolsOwnWorkKnowsTheTimeWhileTheClockStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlain(t, nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if p.clock.Load() != 0 {
			t.Fatal("the clock of a pool that nobody uses goes")
		}
		if got := p.glimpse(); got < int64(time.Hour) {
			t.Errorf("after an hour the pool reads %v", time.Duration(got))
		}
		take(t, p).Release()
		synctest.Wait()
		at := p.clock.Load()
		time.Sleep(3 * time.Millisecond)
		if got := p.glimpse(); at == 0 || got != at {
			t.Errorf("while the clock goes its reading %v serves, and not %v", time.Duration(at), time.Duration(got))
		}
	})
}

func TestFirstInLineFindsWhatWasOfferedBeforeTheGateWasShut(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	for line := range 2 {
		p := newPlain(t, nil)
		take(t, p).Release()
		join := func() *waiter[*num] {
			w := &waiter[*num]{ch: make(chan grant[*num], 1), ctx: context.Background(), until: never}
			p.joinLocked(w, false)
			return w
		}
		p.mu.Lock()
		p.sweepSlotsLocked()
		e := p.idle.head
		p.idle.remove(e)
		p.mu.Unlock()
		p.lendTo(t, e)
		if !e.cell.Offer(e.cell.Load()) || e.lastBerth() == nil {
			t.Fatal("no offer")
		}
		p.mu.Lock()
		list := []*waiter[*num]{join()}
		if line == 1 {
			list = append(list, join())
		}
		found := p.supplyLocked()
		p.mu.Unlock()
		if found != (line == 0) {
			t.Errorf("with %d in line, what was offered was found: %v; the first looks, so that nobody dials beside it, and the others need not", line+1, found)
		}
		p.mu.Lock()
		for _, w := range list {
			if w.queued {
				p.leaveLocked(w)
			}
		}
		p.mu.Unlock()
	}
}

// lendTo makes e, which the caller took out of the store, a lease that nobody has.
func (p *Pool[T]) lendTo(t *testing.T, e *entry[T]) {
	t.Helper()
	if _, ok := e.cell.Move(e.cell.Load(), conn.InUse, 1); !ok {
		t.Fatal("it had another owner")
	}
}

func TestOfferedConnectionThatTheGuardSawDieWhileItWasBuriedIsBuriedOnce(t *testing.T) {
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	g := guard.Wrap(near, guard.Options{})
	p, err := New(Config[*guard.Conn]{Dial: func(context.Context) (*guard.Conn, error) { return g, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	l, err := p.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e := l.e
	l.Discard(errors.New("broken"))
	p.died(e) // told late: it has been buried
	if st := p.Stats(); st.Closed[conn.Error] != 1 || len(p.Deaths()) != 1 {
		t.Errorf("one death was counted as %v", st.Closed)
	}
}

func TestStormOfWaitersLeavesBoundedMemoryAndQuietOnesLeaveNoGarbage(t *testing.T) {
	var s spares[*num]
	for range sparesMost + 7 {
		s.put(&waiter[*num]{})
	}
	s.put(nil)
	if s.n != sparesMost {
		t.Errorf("%d waiters are kept for others, not %d", s.n, sparesMost)
	}
	for range sparesMost {
		if w := s.take(); w.ch != nil || w.next != nil {
			t.Fatal("a new waiter was made while one was kept, or it carries others with it")
		}
	}
	if w := s.take(); w.ch == nil || s.n != 0 {
		t.Errorf("nothing was kept any more, and no new waiter was made; %d are said to be kept", s.n)
	}
	for _, shared := range []bool{false, true} {
		p := newPlain(t, func(c *Config[*num]) {
			c.Limits.MaxOpen = 1
			if shared {
				c.Shares = func(*num) int { return 1 }
			}
		})
		for range 3 {
			l := take(t, p)
			got := make(chan Lease[*num])
			go func() { got <- take(t, p) }()
			waitFor(t, p, 1)
			l.Release()
			(<-got).Release()
		}
		p.mu.Lock()
		kept := p.spares.n
		for _, e := range p.all {
			kept += boolInt(e.spare != nil)
		}
		p.mu.Unlock()
		// Where a connection is not shared, one lies with it.
		if want := 2 - boolInt(shared); kept != want {
			t.Errorf("shared %v: after three who waited one after the other %d waiters are kept, not %d used again and again", shared, kept, want)
		}
	}
}

// waitFor returns when n callers stand in p's line.
func waitFor(t *testing.T, p *Pool[*num], n int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); p.waiting() != n; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d callers wait, not %d", p.waiting(), n)
		}
	}
}

func TestTickDoesNotDialForSomebodyWhoHasNotYetLookedAtWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlain(t, func(c *Config[*num]) {
			c.Ping = func(context.Context, *num) error { return nil }
		})
		take(t, p).Release()
		time.Sleep(5 * time.Second)
		p.mu.Lock()
		w, err := p.joinAsLocked(context.Background(), p.exact()) // what follows in Acquire is the look
		p.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		p.serve(p.exact(), true)
		g := <-w.ch
		p.begin(g.e, g.seq, p.now()).Release()
		if s := p.Stats(); s.Dials != 1 || s.Heartbeats != 1 {
			t.Errorf("%d dials and %d pings: with a connection at hand the first in line wants a ping, and no dial", s.Dials, s.Heartbeats)
		}
	})
}

func TestShortWayOpensAgainWhenMaxOpenIsRaisedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlain(t, nil)
		var leases []Lease[*num]
		for range 10 {
			leases = append(leases, take(t, p))
		}
		for _, most := range []int{5, 10} {
			if err := p.SetLimits(Limits{MaxOpen: most}); err != nil {
				t.Fatal(err)
			}
		}
		if p.gate.Load() != 0 || p.excess {
			t.Error("ten are lent and ten are allowed, and each loan goes through the lock")
		}
		for _, l := range leases {
			l.Release()
		}
	})
}

func TestShortWayOpensAgainWhenTheDialThatWasTooManyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := false
		p := newPlain(t, func(c *Config[*num]) {
			c.Limits.MaxOpen = 2
			c.Dial = func(context.Context) (*num, error) {
				if fail {
					time.Sleep(time.Second)
					return nil, errors.New("refused")
				}
				return &num{}, nil
			}
		})
		held := take(t, p)
		fail = true
		go func() {
			if l, err := p.Acquire(context.Background()); err == nil {
				l.Release()
			}
		}()
		synctest.Wait()
		if err := p.SetLimits(Limits{MaxOpen: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if p.excess {
			t.Error("one is lent and one is allowed, and each loan goes through the lock")
		}
		held.Release()
		synctest.Wait()
	})
}

func TestClockDoesNotStopForSomebodyWhoJustJoinedTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlain(t, func(c *Config[*num]) { c.Limits.MaxOpen = 1 })
		held := take(t, p)
		over := make(chan struct{})
		go func() {
			defer close(over)
			take(t, p).Release()
		}()
		synctest.Wait()
		p.touched.Store(false)
		if d, stops := p.rest(p.exact()); stops || d != tick {
			t.Errorf("the clock stops for %v while somebody waits", d)
		}
		held.Release()
		<-over
	})
}

// seer is an observer that is a function.
type seer func(Event)

func (s seer) Observe(e Event) { s(e) }

func TestGrantThatNobodyTookIsNoReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		returns := 0
		p := newPlain(t, func(c *Config[*num]) {
			c.Shares = func(*num) int { return 3 }
			c.Observer = seer(func(e Event) { returns += boolInt(e.Kind == CheckedIn) })
		})
		l := take(t, p)
		p.undo(grant[*num]{e: l.e, seq: l.seq})
		if returns != 0 {
			t.Error("a grant whose caller had gone was told as a return")
		}
		take(t, p).Release()
		if returns != 1 {
			t.Errorf("one return was told %d times", returns)
		}
	})
}

func TestDialThatIsGivenUpWhileItSucceedsIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *Pool[*num]
		p = newPlain(t, func(c *Config[*num]) {
			c.Identity = func(context.Context, *num) (string, error) { return "db1", nil }
			c.Observer = seer(func(e Event) {
				if e.Kind == ConnectionReady { // its value is known, and its state is not yet moved
					p.mu.Lock()
					made := p.all[0]
					p.mu.Unlock()
					p.dialFailed(made, p.ticket, errDialHangs)
				}
			})
		})
		take(t, p).Release()
		synctest.Wait()
		st := p.Stats()
		if st.Dials != 1 || st.DialErrors != 0 || st.Idle != 1 {
			t.Errorf("one dial, which succeeded at the last moment: %+v", st)
		}
		if b := p.backends[""]; b == nil || b.conns != 1 {
			t.Errorf("one connection said who answers: %+v", b)
		}
	})
}

// sealed is a connection without a Close of its own.
type sealed struct{ g *guard.Conn }

func TestConnectionThatCannotBeAskedWhoItIsLeavesNoSocketBehind(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	g := guard.Wrap(near, guard.Options{})
	p, err := New(Config[*sealed]{
		Dial:     func(context.Context) (*sealed, error) { return &sealed{g}, nil },
		Guard:    func(s *sealed) *guard.Conn { return s.g },
		Identity: func(context.Context, *sealed) (string, error) { return "", errors.New("no such variable") },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Acquire(t.Context()); err == nil {
		t.Fatal("a connection that could not say who answers was lent")
	}
	if !g.Dead() {
		t.Error("its socket is open, and nobody knows of it")
	}
}

func TestSharesBeyondWhatTheWordHoldsIsAFullConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlain(t, func(c *Config[*num]) {
			c.Shares = func(*num) int { return 1 << 30 }
			c.Limits.MaxOpen = 2
		})
		for range conn.MaxLeases + 1 {
			take(t, p)
		}
		if st := p.Stats(); st.InUse != 2 || st.Leases != conn.MaxLeases+1 {
			t.Errorf("%d leases at %d a connection: %+v", conn.MaxLeases+1, conn.MaxLeases, st)
		}
	})
}
