package pool_test

import (
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// both lets two callers ask at once, and gives how long each waited.
func both(t *testing.T, p *pool.Pool[*fake]) [2]time.Duration {
	t.Helper()
	type served struct {
		l    pool.Lease[*fake]
		took time.Duration
	}
	got := make(chan served, 2)
	for range 2 {
		go func() {
			began := time.Now()
			l := acquire(t, p)
			got <- served{l, time.Since(began)}
		}()
	}
	a, b := <-got, <-got
	a.l.Release()
	b.l.Release()
	return [2]time.Duration{a.took, b.took}
}

func TestEachCallerHasAPingOfHisOwnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		p := newPool(t, s, nil)
		fill(t, p, 2)
		pass(5 * time.Second)
		s.pingTime.Store(int64(100 * time.Millisecond))
		if took := both(t, p); took[0] != 100*time.Millisecond || took[1] != 100*time.Millisecond {
			t.Errorf("two callers met two silent connections, each with a ping of 100 ms, and waited %v", took)
		}
		if st := p.Stats(); st.Heartbeats != 2 || st.HeartbeatErrs != 0 || st.Dials != 2 {
			t.Errorf("two pings were counted as %+v", st)
		}
	})
}

func TestExpiredConnectionThatIsMetForAWaiterGivesItsPlaceBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{}
		limits := pool.Limits{MaxOpen: 2, MaxLifetime: 3 * time.Second, MaxLifetimeJitter: -1}
		p := newPool(t, s, func(c *pool.Config[*fake]) { c.Limits = limits })
		old := acquire(t, p)
		pass(500 * time.Millisecond)
		young := acquire(t, p)
		old.Release()
		pass(20 * time.Millisecond)
		young.Release()
		pass(2465 * time.Millisecond)
		if err := p.SetLimits(limits); err != nil { // the pool has just looked at all, and rests for 50 ms
			t.Fatal(err)
		}
		pass(30 * time.Millisecond)
		s.pingTime.Store(int64(100 * time.Millisecond))
		both(t, p)
		if st := p.Stats(); st.Closed[conn.MaxLifetime] != 1 || st.Idle != 2 || st.Dials != 3 {
			t.Errorf("one of two had expired when two callers came: %+v", st)
		}
	})
}
