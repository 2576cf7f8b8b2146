package pool_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

func TestOneReturnIsNoMisuseAndTheSecondIsOne(t *testing.T) {
	for name, change := range map[string]func(*pool.Config[*fake]){
		"plain":    func(*pool.Config[*fake]) {},
		"observer": func(c *pool.Config[*fake]) { c.Observer = &log{} },
		"reset":    func(c *pool.Config[*fake]) { c.Reset = func(context.Context, *fake) error { return nil } },
		"shared":   func(c *pool.Config[*fake]) { c.Shares = func(*fake) int { return 3 } },
		"shared, observer": func(c *pool.Config[*fake]) {
			c.Shares = func(*fake) int { return 3 }
			c.Observer = &log{}
		},
	} {
		for how, end := range map[string]func(pool.Lease[*fake]){
			"released":  func(l pool.Lease[*fake]) { l.Release() },
			"discarded": func(l pool.Lease[*fake]) { l.Discard(nil) },
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPool(t, &fakeServer{}, change)
					for want := range uint64(3) {
						l := acquire(t, p)
						if l.Err() != nil || l.Value() == nil {
							t.Error("a loan that lasts says that it ended")
						}
						end(l)
						if n := p.Stats().Misuses; n != want {
							t.Errorf("after %d misuses and one good return: %d", want, n)
						}
						end(l)
						if n := p.Stats().Misuses; n != want+1 {
							t.Errorf("a second return was counted as %d misuses", n-want)
						}
						synctest.Wait()
					}
				})
			})
		}
	}
}

func TestWhatEndedWhileItWasLentIsNotHandedToAWaiter(t *testing.T) {
	for cause, c := range map[conn.Cause]struct {
		limits pool.Limits
		before func(*pool.Pool[*fake])
	}{
		conn.MaxLifetime: {limits: pool.Limits{MaxLifetime: time.Minute}},
		conn.MaxUses:     {limits: pool.Limits{MaxUses: 1}},
		conn.Generation:  {before: func(p *pool.Pool[*fake]) { p.Invalidate(nil) }},
	} {
		t.Run(cause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, &fakeServer{}, func(cfg *pool.Config[*fake]) {
					cfg.Limits = c.limits
					cfg.Limits.MaxOpen = 1
					cfg.Limits.AcquireTimeout = -1
				})
				first := acquire(t, p)
				old := first.Value()
				got := make(chan pool.Lease[*fake])
				go func() { got <- acquire(t, p) }()
				pass(2 * time.Minute)
				if c.before != nil {
					c.before(p)
				}
				first.Release()
				second := <-got
				if second.Value() == old {
					t.Error("the waiter has the connection whose time was over")
				}
				second.Release()
				if n := p.Stats().Closed[cause]; n == 0 {
					t.Errorf("it was closed for another reason: %v", p.Stats().Closed)
				}
			})
		})
	}
}

func TestWhatRestsInASlotCountsAsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits = pool.Limits{MaxOpen: 3, MinIdle: 1} })
		a, b, c := acquire(t, p), acquire(t, p), acquire(t, p)
		pass(time.Second)
		before := s.dials.Load()
		a.Release()
		b.Discard(nil) // its place is free, and the pool looks for what is missing
		pass(time.Millisecond)
		defer c.Release()
		if n := s.dials.Load() - before; n != 0 {
			t.Errorf("%d connections were dialled beside those that were idle", n)
		}
	})
}

func TestFailedWarmUpSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("connection refused")
		s := &fakeServer{}
		s.dialErr.Store(&refused)
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits.KeepWarm = 2 })
		err := p.WarmUp(context.Background())
		var dial *pool.DialError
		if !errors.As(err, &dial) || !errors.Is(err, refused) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("warming up with a server that refuses gave %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.dialErr.Store(nil)
		s.dialTime.Store(int64(time.Hour))
		if err := p.WarmUp(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("warming up with a context that has ended gave %v", err)
		}
	})
}

// pipes makes a pool of guarded pipes, and gives the far ends.
func pipes(t *testing.T, most int) (*pool.Pool[net.Conn], chan net.Conn) {
	t.Helper()
	far := make(chan net.Conn, 100)
	p, err := pool.New(pool.Config[net.Conn]{
		Name: "pipes", Limits: pool.Limits{MaxOpen: most},
		Dial: func(context.Context) (net.Conn, error) {
			near, other := net.Pipe()
			far <- other
			return guard.Wrap(near, guard.Options{}), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Close()
		close(far)
		for c := range far {
			_ = c.Close()
		}
	})
	return p, far
}

func guardOf(t *testing.T, l pool.Lease[net.Conn]) *guard.Conn {
	t.Helper()
	g, ok := guard.From(l.Value())
	if !ok {
		t.Fatal("the connection is not guarded")
	}
	return g
}

func TestConnectionThatDiesOnItsWayToAWaiterCostsHimNotHisPlace(t *testing.T) {
	processors(t, 1) // nobody runs between the hand-over and the death
	for range 20 {
		dialed := make(chan struct{}, 10)
		dialed <- struct{}{}
		p, err := pool.New(pool.Config[net.Conn]{
			Limits: pool.Limits{MaxOpen: 1},
			Dial: func(context.Context) (net.Conn, error) {
				<-dialed
				near, far := net.Pipe()
				t.Cleanup(func() { _ = far.Close() })
				return guard.Wrap(near, guard.Options{}), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		held := l2(t, p)
		dying := guardOf(t, held)
		order := make(chan int, 3)
		wait := func(i int) {
			l, err := p.Acquire(t.Context())
			if err != nil {
				t.Errorf("waiter %d: %v", i, err)
			} else if g, _ := guard.From(l.Value()); g == nil || g.Dead() {
				t.Errorf("waiter %d has a dead connection", i)
			}
			order <- i
			l.Release()
		}
		waiting := func(n int) {
			for p.Stats().Waiting != n {
				runtime.Gosched()
			}
		}
		go wait(0)
		waiting(1)
		go wait(1)
		waiting(2)
		held.Release()
		dying.Abort(conn.PeerRST)
		waiting(2) // the first has come back
		go wait(2)
		waiting(3)
		dialed <- struct{}{}
		for i := range 3 {
			if n := <-order; n != i {
				t.Fatalf("waiter %d was served before waiter %d", n, i)
			}
		}
		_ = p.Close()
	}
}

func TestCondemnedConnectionEndsAtItsReturnAndAtItsNextLoan(t *testing.T) {
	p, _ := pipes(t, 2)
	l, err := p.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	guardOf(t, l).Condemn(conn.GoAway)
	l.Release()
	if st := p.Stats(); st.Idle != 0 || st.Closed[conn.GoAway] != 1 {
		t.Errorf("a connection condemned by its user rests in the pool: %+v", st)
	}
	l, err = p.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g := guardOf(t, l)
	l.Release()
	g.Condemn(conn.GoAway)
	if l, err = p.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if guardOf(t, l) == g {
		t.Error("a connection that was condemned while it rested was lent")
	}
	l.Release()
}

func TestQuietPoolWithoutPingAsksTheKernelAsOftenAsItWasTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Ping = nil
			c.Limits = pool.Limits{HeartbeatEvery: time.Second, MaxLifetime: -1, MaxIdleTime: -1}
		})
		fill(t, p, 3)
		pass(5 * time.Second)
		before := p.Looks()
		pass(time.Minute)
		if n := p.Looks() - before; n < 30 || n > 250 {
			t.Errorf("3 quiet connections with a heartbeat a second were looked at %d times in a minute", n)
		}
	})
}
