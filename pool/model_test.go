package pool_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"herz.example/herz/pool"
)

// caller is one call of Acquire in the model's world.
type caller struct {
	cancel context.CancelFunc
	lease  pool.Lease[*fake]
	err    error
	done   bool
}

// model is what a pool over a server that never fails must look like from outside: so many are lent, so many wait, in this order, and
// the rest of what is open is idle. (Which of the idle ones is lent is not promised: the coarse clock does not tell them apart within a tick.)
type model struct {
	t    *rapid.T
	p    *pool.Pool[*fake]
	s    *fakeServer
	most int

	lent    []*caller
	waiting []*caller
	idle    []int64 // ids
}

// newcomer calls Acquire on a goroutine of its own and lets everything settle.
func (m *model) newcomer() *caller {
	c := &caller{}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() {
		c.lease, c.err = m.p.Acquire(ctx)
		c.done = true
	}()
	synctest.Wait()
	return c
}

func (m *model) acquire() {
	c := m.newcomer()
	switch {
	case len(m.idle) > 0:
		if !c.done || c.err != nil {
			m.t.Fatalf("connections %v are idle, and a caller waits or failed: %v", m.idle, c.err)
		}
		at := slices.Index(m.idle, c.lease.Value().id)
		if at < 0 {
			m.t.Fatalf("connections %v are idle; the caller got %d", m.idle, c.lease.Value().id)
		}
		m.idle = slices.Delete(m.idle, at, at+1)
		m.lent = append(m.lent, c)
	case len(m.lent) < m.most:
		m.lent = append(m.lent, c)
		if !c.done || c.err != nil {
			m.t.Fatalf("%d of %d are lent, and a caller waits or failed: %v", len(m.lent)-1, m.most, c.err)
		}
	default:
		m.waiting = append(m.waiting, c)
		if c.done {
			m.t.Fatalf("all %d are lent, and a caller did not wait: %v", m.most, c.err)
		}
	}
}

// free is what happens after a place or a connection became free: the oldest waiter has it.
func (m *model) free(id int64) {
	synctest.Wait()
	if len(m.waiting) == 0 || len(m.lent) >= m.most {
		if id != 0 {
			m.idle = append(m.idle, id)
		}
		return
	}
	first := m.waiting[0]
	m.waiting = m.waiting[1:]
	m.lent = append(m.lent, first)
	if !first.done || first.err != nil {
		m.t.Fatalf("a connection became free and the oldest waiter has none: %+v", first)
	}
	if id != 0 && first.lease.Value().id != id {
		m.t.Fatalf("connection %d was returned and the oldest waiter got %d", id, first.lease.Value().id)
	}
}

// pick takes one caller out of a list; nil when nobody is there.
func (m *model) pick(list *[]*caller) *caller {
	if len(*list) == 0 {
		return nil
	}
	i := rapid.IntRange(0, len(*list)-1).Draw(m.t, "who")
	c := (*list)[i]
	*list = append((*list)[:i:i], (*list)[i+1:]...)
	return c
}

func (m *model) release() {
	c := m.pick(&m.lent)
	if c == nil {
		return
	}
	id := c.lease.Value().id
	c.lease.Release()
	m.free(id)
	if c.lease.Err() == nil {
		m.t.Fatal("a returned lease says that it lasts")
	}
}

func (m *model) discard() {
	c := m.pick(&m.lent)
	if c == nil {
		return
	}
	c.lease.Discard(errors.New("broken"))
	m.free(0)
}

func (m *model) giveUp() {
	c := m.pick(&m.waiting)
	if c == nil {
		return
	}
	c.cancel()
	synctest.Wait()
	if !c.done || !errors.Is(c.err, context.Canceled) {
		m.t.Fatalf("a caller gave up and got %v", c.err)
	}
}

func (m *model) invalidate() {
	m.p.Invalidate(errors.New("fail-over"))
	m.idle = nil
	synctest.Wait()
	// Those that are lent end when they are returned: the model forgets their ids by closing them now.
	lent := m.lent
	m.lent = nil
	for _, c := range lent {
		c.lease.Release()
		m.free(0)
	}
}

// check compares the pool's numbers with the model's.
func (m *model) check() {
	st := m.p.Stats()
	if st.InUse != len(m.lent) || st.Idle != len(m.idle) || st.Waiting != len(m.waiting) || st.Open != len(m.lent)+len(m.idle) {
		m.t.Fatalf("%d are lent, %d idle, %d wait; the pool says %+v", len(m.lent), len(m.idle), len(m.waiting), st)
	}
	if n := m.s.open.Load(); int(n) != st.Open {
		m.t.Fatalf("%d connections are open, the pool says %d", n, st.Open)
	}
	if len(m.waiting) > 0 && len(m.idle) > 0 {
		m.t.Fatal("somebody waits while a connection is idle")
	}
}

// inBubble runs f in virtual time, and lets a failure of rapid out of it.
func inBubble(t *testing.T, f func()) {
	var failure any
	synctest.Test(t, func(*testing.T) {
		defer func() { failure = recover() }()
		f()
	})
	if failure != nil {
		panic(failure)
	}
}

func TestPoolBehavesAsItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inBubble(t, func() {
			m := &model{t: rt, s: &fakeServer{}, most: rapid.IntRange(1, 5).Draw(rt, "MaxOpen")}
			p, err := pool.New(pool.Config[*fake]{
				Dial:   m.s.dial,
				Limits: pool.Limits{MaxOpen: m.most, AcquireTimeout: -1, MaxIdleTime: -1, MaxLifetime: -1, HeartbeatEvery: -1},
			})
			if err != nil {
				rt.Fatal(err)
			}
			m.p = p
			defer func() {
				_ = p.Close()
				for _, c := range append(m.lent, m.waiting...) {
					c.cancel()
					synctest.Wait()
					c.lease.Release()
				}
				time.Sleep(time.Second)
				synctest.Wait()
			}()
			rt.Repeat(map[string]func(*rapid.T){
				"acquire":     func(*rapid.T) { m.acquire() },
				"release":     func(*rapid.T) { m.release() },
				"discard":     func(*rapid.T) { m.discard() },
				"give up":     func(*rapid.T) { m.giveUp() },
				"invalidate":  func(*rapid.T) { m.invalidate() },
				"time passes": func(*rapid.T) { time.Sleep(50 * time.Millisecond) },
				"":            func(*rapid.T) { m.check() },
			})
		})
	})
}
