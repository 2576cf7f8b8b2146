package pool_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

func TestDoubtedSharedConnectionTakesNoLeaseUntilItAnswersAndLetsTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		s.pingTime.Store(int64(time.Second))
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Shares = func(*fake) int { return 5 } })
		a, b := acquire(t, p), acquire(t, p)
		doubted := a.Value()
		a.Doubt()
		c := acquire(t, p)
		if c.Value() == doubted {
			t.Error("a doubted connection was lent before it had answered")
		}
		if b.Value() != doubted || doubted.closed.Load() {
			t.Error("the other lease of a doubted connection was ended")
		}
		c.Discard(errors.New("to leave only the other one"))
		pass(1100 * time.Millisecond)
		d := acquire(t, p)
		if d.Value() != doubted || s.dials.Load() != 2 {
			t.Error("a connection that answered is not lent again")
		}
		b.Release()
		d.Release()
		if st := p.Stats(); st.Idle != 1 || st.Leases != 0 || st.Heartbeats != 1 || st.Misuses != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestDoubtedConnectionWithoutAnAnswerIsClosedAndNobodyWaitsForIt(t *testing.T) {
	for name, shares := range map[string]func(*fake) int{"alone": nil, "shared": func(*fake) int { return 5 }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &fakeServer{}
				p := newPool(t, s, func(c *pool.Config[*fake]) { c.Shares = shares })
				a := acquire(t, p)
				dead := a.Value()
				s.pingTime.Store(int64(time.Hour))
				a.Doubt()
				synctest.Wait()
				if st := p.Stats(); st.Checking != 1 || st.Leases != 0 {
					t.Errorf("while it is asked: %+v", st)
				}
				began := time.Now()
				b := acquire(t, p)
				if b.Value() == dead || time.Since(began) > 0 {
					t.Errorf("somebody waited %v for a doubted connection", time.Since(began))
				}
				pass(4 * time.Second)
				if !dead.closed.Load() || p.Stats().Closed[conn.Heartbeat] != 1 {
					t.Errorf("a doubted connection without an answer: closed %v, %+v", dead.closed.Load(), p.Stats())
				}
				b.Release()
			})
		})
	}
}

func TestDoubtedConnectionWithoutAnAnswerEndsAfterItsOtherLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Shares = func(*fake) int { return 5 } })
		a, b := acquire(t, p), acquire(t, p)
		s.pingErr.Store(failWith(errors.New("no sign of life")))
		a.Doubt()
		synctest.Wait()
		if b.Err() != nil || b.Value().closed.Load() {
			t.Error("a connection was closed under its user")
		}
		c := acquire(t, p)
		if c.Value() == b.Value() {
			t.Error("a connection without a sign of life was lent again")
		}
		dead := b.Value()
		b.Release()
		synctest.Wait()
		if !dead.closed.Load() || p.Stats().Closed[conn.Heartbeat] != 1 {
			t.Errorf("after its last lease: %+v", p.Stats())
		}
		c.Release()
	})
}

func TestConnectionThatIsDoubtedWhileItIsAboutToBeLentHasOneOwner(t *testing.T) {
	for name, ping := range map[string]time.Duration{"it answers before": 0, "it answers after": time.Second, "it says no": -1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &fakeServer{}
				look, looked, hold := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
				p := newPool(t, s, func(c *pool.Config[*fake]) {
					c.Limits.MaxOpen = 1
					c.Shares = func(*fake) int {
						select {
						case <-look:
							close(looked)
							<-hold
						default:
						}
						return 2
					}
				})
				a := acquire(t, p)
				s.pingTime.Store(int64(max(ping, 0)))
				if ping < 0 {
					s.pingErr.Store(failWith(errors.New("no sign of life")))
				}
				look <- struct{}{}
				got := make(chan pool.Lease[*fake])
				go func() { got <- acquire(t, p) }()
				<-looked // somebody is about to be lent what a has, and asks how many it takes
				doubted := a.Value()
				a.Doubt()
				synctest.Wait()
				close(hold)
				b := <-got
				if (b.Value() == doubted) != (ping == 0) {
					t.Errorf("connection %d was lent", b.Value().id)
				}
				c := acquire(t, p)
				if b.Value() != c.Value() || s.dials.Load() != 1 && ping == 0 {
					t.Errorf("%d dials", s.dials.Load())
				}
				b.Release()
				c.Release()
				if st := p.Stats(); st.Open-st.Closing != 1 || st.Idle != 1 || st.Misuses != 0 {
					t.Errorf("%+v", st)
				}
				for range 3 { // an entry that lay in the list twice would be found twice
					acquire(t, p).Release()
				}
				drained(t, p)
			})
		})
	}
}

func TestDoubtOfALeaseThatHasEndedHarmsNobody(t *testing.T) {
	for name, shares := range map[string]func(*fake) int{"alone": nil, "shared": func(*fake) int { return 5 }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) { c.Shares = shares })
				pool.Lease[*fake]{}.Doubt()
				a := acquire(t, p)
				a.Release()
				b := acquire(t, p)
				a.Doubt()
				synctest.Wait()
				if st := p.Stats(); st.Misuses != 1 || st.Leases != 1 || st.Heartbeats != 0 || b.Err() != nil {
					t.Errorf("%+v", st)
				}
				b.Release()
			})
		})
	}
}

func TestDoubtedConnectionsUnderLoadAddUp(t *testing.T) {
	for name, shares := range map[string]func(*fake) int{"alone": nil, "shared": func(*fake) int { return 5 }} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
				c.Limits.MaxOpen = 3
				c.Shares = shares
			})
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					for j := range 500 {
						l, err := p.Acquire(context.Background())
						if err != nil {
							t.Errorf("acquire: %v", err)
							return
						}
						switch (i + j) % 4 {
						case 0:
							l.Doubt()
						case 1:
							l.Discard(errors.New("broken"))
						default:
							l.Release()
						}
					}
				})
			}
			wg.Wait()
			if st := p.Stats(); st.Leases != 0 || st.InUse != 0 || st.Waiting != 0 || st.Misuses != 0 {
				t.Errorf("after all returns: %+v", st)
			}
			drained(t, p)
		})
	}
}

// goodbye is a reason that says as what it is counted.
type goodbye struct{ error }

func (goodbye) Cause() conn.Cause { return conn.GoAway }

func TestDiscardIsCountedAsItsReasonSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, nil)
		acquire(t, p).Discard(goodbye{errors.New("the peer announced its end")})
		if got := p.Stats().Closed; got[conn.GoAway] != 1 || len(got) != 1 {
			t.Errorf("%v", got)
		}
	})
}

func TestConnectionThatServedAndSaidGoodbyeIsReplacedWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Limits.MaxOpen = 1
			c.Shares = func(f *fake) int {
				if f.id == 1 && f.resets.Load() > 0 {
					return 0
				}
				return 1
			}
		})
		l := acquire(t, p)
		l.Value().resets.Add(1)
		l.Release()
		began := time.Now()
		l = acquire(t, p)
		if l.Value().id != 2 || time.Since(began) != 0 {
			t.Errorf("connection %d after %v", l.Value().id, time.Since(began))
		}
		l.Release()
	})
}

func TestTrimIdleClosesThoseThatRestedLongestAndLeavesMinIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, nil)
		leases := []pool.Lease[*fake]{acquire(t, p), acquire(t, p), acquire(t, p)}
		var order []*fake
		for _, l := range leases {
			order = append(order, l.Value())
			l.Release()
			pass(100 * time.Millisecond)
		}
		if d := p.IdleLongest(); d < 280*time.Millisecond || d > 400*time.Millisecond {
			t.Errorf("the oldest has rested for %v", d)
		}
		if n := p.TrimIdle(1); n != 1 {
			t.Errorf("closed %d", n)
		}
		synctest.Wait()
		gone := 0
		for _, f := range order[1:] {
			if f.closed.Load() {
				gone++
			}
		}
		if !order[0].closed.Load() || gone != 0 {
			t.Error("not the one was closed that rested longest")
		}
		if err := p.SetLimits(pool.Limits{MinIdle: 1}); err != nil {
			t.Fatal(err)
		}
		if n := p.TrimIdle(10); n != 1 || p.Stats().Idle != 1 || p.Stats().Closed[conn.Shrunk] != 2 {
			t.Errorf("closed %d more: %+v", n, p.Stats())
		}
		if d := p.IdleLongest(); d != 0 {
			t.Errorf("a connection that may not be closed is offered: %v", d)
		}
	})
}
