package ceiling_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"herz.example/herz/ceiling"
	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// source is a pool whose connections and limits a test makes.
type source struct {
	mu      sync.Mutex // guards what follows
	limits  pool.Limits
	resting []pool.ConnInfo
	sets    int
}

func (*source) Name() string         { return "orders" }
func (*source) Stats() pool.Stats    { return pool.Stats{} }
func (*source) Deaths() []conn.Death { return nil }

func (s *source) Snapshot() []pool.ConnInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resting
}

func (s *source) Limits() pool.Limits {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limits
}

func (s *source) SetLimits(l pool.Limits) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = l
	s.sets++
	return nil
}

// class is a learner with one pool.
type class struct {
	learner *ceiling.Learner
	pool    *source
	told    pool.Observer
	log     *bytes.Buffer
	now     time.Time
}

func newClass(cfg ceiling.Config, l pool.Limits) *class {
	c := &class{pool: &source{limits: l}, log: &bytes.Buffer{}, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	cfg.Logger = slog.New(slog.NewTextHandler(c.log, nil))
	c.learner = ceiling.New(cfg)
	c.told = c.learner.Bind(c.pool)
	return c
}

const peer = "db:3306"

// die lets a connection end that was idle for so long.
func (c *class) die(cause conn.Cause, idle time.Duration) {
	c.told.Observe(pool.Event{Kind: pool.ConnectionClosed, At: c.now, Death: &conn.Death{Peer: peer, Cause: cause, Phase: "idle", Idle: idle}})
	c.learner.Wait()
}

// later lets time pass, so that the next death is one of another moment.
func (c *class) later() { c.now = c.now.Add(10 * time.Second) }

func (c *class) dieAt(ages ...time.Duration) {
	for _, age := range ages {
		c.die(conn.PeerFIN, age)
		c.later()
	}
}

func (c *class) only(t *testing.T) ceiling.Lesson {
	t.Helper()
	all := c.learner.Lessons()
	if len(all) != 1 {
		t.Fatalf("%d lessons: %v", len(all), all)
	}
	return all[0]
}

func TestAgeAtWhichConnectionsAreClosedIsLearnedWithItsEvidence(t *testing.T) {
	c := newClass(ceiling.Config{}, pool.Limits{})
	c.dieAt(349900*time.Millisecond, 350*time.Second, 351*time.Second)
	if n := len(c.learner.Lessons()); n != 0 {
		t.Fatalf("three deaths were enough for %d lessons", n)
	}
	c.dieAt(350*time.Second, 350100*time.Millisecond, 20*time.Second)
	l := c.only(t)
	if l.Ceiling < 349*time.Second || l.Ceiling > 351*time.Second || l.Agree != 5 || l.Of != 6 || l.Pool != "orders" || l.Peer != peer {
		t.Errorf("learned %+v", l)
	}
	for _, word := range []string{"idle for 5m50", "5 of 6", "NLB", "set MaxIdleTime to 4m40", peer, `"orders"`} {
		if !strings.Contains(l.String(), word) {
			t.Errorf("%q does not say %s", l, word)
		}
	}
	if n := strings.Count(c.log.String(), "closed by somebody else"); n != 1 || !strings.Contains(c.log.String(), "level=WARN") {
		t.Errorf("told %d times: %s", n, c.log)
	}
	if c.pool.sets != 0 {
		t.Error("limits were set without leave")
	}
}

func TestRestartTeachesNothing(t *testing.T) {
	c := newClass(ceiling.Config{}, pool.Limits{})
	for range 8 { // each time all connections end at once, whatever their age
		for _, age := range []int{5, 9, 30, 31} {
			c.die(conn.PeerFIN, time.Duration(age)*time.Second)
		}
		c.later()
	}
	if all := c.learner.Lessons(); len(all) > 0 {
		t.Errorf("learned %v", all)
	}
}

func TestConnectionsOfOneMomentAreOneObservation(t *testing.T) {
	c := newClass(ceiling.Config{}, pool.Limits{})
	for range 3 {
		for range 10 {
			c.die(conn.PeerRST, 60*time.Second)
		}
		c.later()
	}
	if all := c.learner.Lessons(); len(all) > 0 {
		t.Errorf("three moments were enough for %v", all)
	}
	c.dieAt(60 * time.Second)
	if l := c.only(t); l.Of != 4 {
		t.Errorf("%d observations of 4 moments", l.Of)
	}
}

func TestOtherEndsTeachNothing(t *testing.T) {
	for name, d := range map[string]conn.Death{
		"ours":             {Peer: peer, Cause: conn.MaxIdle, Phase: "idle", Idle: time.Minute},
		"in mid-request":   {Peer: peer, Cause: conn.PeerFIN, Phase: "processing", Idle: time.Minute},
		"silence":          {Peer: peer, Cause: conn.Heartbeat, Phase: "idle", Idle: time.Minute},
		"never rested":     {Peer: peer, Cause: conn.PeerFIN, Phase: "idle", Idle: time.Millisecond},
		"nobody knows who": {Cause: conn.PeerFIN, Phase: "idle", Idle: time.Minute},
	} {
		c := newClass(ceiling.Config{}, pool.Limits{})
		for range 12 {
			c.told.Observe(pool.Event{Kind: pool.ConnectionClosed, At: c.now, Death: &d})
			c.later()
		}
		if all := c.learner.Lessons(); len(all) > 0 {
			t.Errorf("%s: learned %v", name, all)
		}
	}
}

func TestLessonThatIsContradictedIsForgotten(t *testing.T) {
	t.Run("by other ages", func(t *testing.T) {
		c := newClass(ceiling.Config{Apply: true}, pool.Limits{MaxIdleTime: time.Hour})
		c.dieAt(5*time.Second, 5*time.Second, 5*time.Second, 5*time.Second, 90*time.Second, 40*time.Second, 140*time.Second)
		if all := c.learner.Lessons(); len(all) > 0 {
			t.Errorf("four of seven are enough for %v", all)
		}
		if l := c.pool.Limits(); l.MaxIdleTime != time.Hour {
			t.Errorf("MaxIdleTime stays at %v", l.MaxIdleTime)
		}
	})
	t.Run("by a connection that lives", func(t *testing.T) {
		c := newClass(ceiling.Config{Apply: true}, pool.Limits{MaxIdleTime: time.Hour})
		c.dieAt(5*time.Second, 5*time.Second, 5*time.Second, 5*time.Second)
		c.only(t)
		c.pool.resting = []pool.ConnInfo{{Peer: peer, State: conn.Idle, Idle: 8 * time.Second}}
		if all := c.learner.Lessons(); len(all) > 0 {
			t.Errorf("a connection rests for eight seconds and lives, and still %v", all)
		}
		c.learner.Wait()
		if l := c.pool.Limits(); l.MaxIdleTime != time.Hour || !strings.Contains(c.log.String(), "does not hold any more") {
			t.Errorf("MaxIdleTime is %v; log: %s", l.MaxIdleTime, c.log)
		}
	})
}

func TestLimitIsSetWithLeaveAndWithinBounds(t *testing.T) {
	for name, c := range map[string]struct {
		age    time.Duration
		before pool.Limits
		after  pool.Limits
	}{
		"lowered":           {5 * time.Second, pool.Limits{MaxIdleTime: time.Hour}, pool.Limits{MaxIdleTime: 4 * time.Second}},
		"set":               {5 * time.Second, pool.Limits{MaxIdleTime: -1}, pool.Limits{MaxIdleTime: 4 * time.Second}},
		"never raised":      {5 * time.Second, pool.Limits{MaxIdleTime: time.Second}, pool.Limits{MaxIdleTime: time.Second}},
		"not under a floor": {2 * time.Second, pool.Limits{MaxIdleTime: time.Hour}, pool.Limits{MaxIdleTime: time.Hour}},
		"those kept warm are pinged": {
			20 * time.Second,
			pool.Limits{MaxIdleTime: time.Hour, KeepWarm: 4, HeartbeatEvery: time.Minute},
			pool.Limits{MaxIdleTime: 16 * time.Second, KeepWarm: 4, HeartbeatEvery: 10 * time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			class := newClass(ceiling.Config{Apply: true, Floor: 2 * time.Second}, c.before)
			class.dieAt(c.age, c.age, c.age, c.age, c.age)
			if got := class.pool.Limits(); got != c.after {
				t.Errorf("%+v, not %+v", got, c.after)
			}
			l := class.only(t)
			if set := c.before.MaxIdleTime != c.after.MaxIdleTime; (l.Limit > 0) != set || set && !strings.Contains(l.String(), "was set to") {
				t.Errorf("the lesson says %v", l)
			}
		})
	}
}

func TestWhatSomebodyElseHasSetIsLeftAlone(t *testing.T) {
	c := newClass(ceiling.Config{Apply: true}, pool.Limits{MaxIdleTime: time.Hour})
	c.dieAt(5*time.Second, 5*time.Second, 5*time.Second, 5*time.Second)
	_ = c.pool.SetLimits(pool.Limits{MaxIdleTime: 3 * time.Second})
	c.dieAt(90*time.Second, 40*time.Second, 140*time.Second)
	if l := c.pool.Limits(); l.MaxIdleTime != 3*time.Second {
		t.Errorf("MaxIdleTime is %v", l.MaxIdleTime)
	}
}

func TestPoolThatIsClosedIsForgotten(t *testing.T) {
	c := newClass(ceiling.Config{}, pool.Limits{})
	c.dieAt(5*time.Second, 5*time.Second, 5*time.Second, 5*time.Second)
	c.only(t)
	c.told.Observe(pool.Event{Kind: pool.PoolClosed})
	if all := c.learner.Lessons(); len(all) > 0 {
		t.Errorf("still %v", all)
	}
}
