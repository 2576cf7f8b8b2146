package ceiling

import (
	"time"

	"herz.example/herz/pool"
)

// change is what was set because of a lesson, and what was there before.
type change struct{ before, set pool.Limits }

// apply sets MaxIdleTime because of what was learned of a peer, or takes that back where ceiling is 0. An observer must not change its pool, so that it
// is done a moment later.
func (s *student) apply(name string, ceiling time.Duration) {
	to, ok := s.src.(limited)
	if !s.of.cfg.Apply || !ok {
		return
	}
	s.of.wg.Go(func() {
		now := s.src.Limits()
		next, changes := s.decide(name, ceiling, now)
		if !changes {
			return
		}
		if err := to.SetLimits(next); err != nil {
			s.of.cfg.Logger.Warn("herz: MaxIdleTime could not be set to what was learned", "pool", s.src.Name(), "to", next.MaxIdleTime, "err", err)
			return
		}
		s.keep(name, now, s.src.Limits(), ceiling > 0)
	})
}

// decide gives the limits to set. What somebody else has set since is left alone, and nothing is raised above what was there before the first lesson.
func (s *student) decide(name string, ceiling time.Duration, now pool.Limits) (next pool.Limits, changes bool) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	p := s.peers[name]
	if p == nil {
		return now, false
	}
	next = now
	if p.change != nil { // as it was, where it is still ours
		next.MaxIdleTime = restored(now.MaxIdleTime, p.change.set.MaxIdleTime, p.change.before.MaxIdleTime)
		next.HeartbeatEvery = restored(now.HeartbeatEvery, p.change.set.HeartbeatEvery, p.change.before.HeartbeatEvery)
	}
	if limit := advised(ceiling); limit >= s.of.cfg.Floor {
		next.MaxIdleTime = lower(next.MaxIdleTime, limit)
		if next.KeepWarm > 0 || next.MinIdle > 0 { // these rest for longer than MaxIdleTime, and need a sign of life
			next.HeartbeatEvery = lower(next.HeartbeatEvery, ceiling/2)
		}
	}
	return next, next != now
}

// lower is the shorter time; none, which is nought or less, is longer than any.
func lower(now, wanted time.Duration) time.Duration {
	if now > 0 && now <= wanted {
		return now
	}
	return wanted
}

func restored(now, set, before time.Duration) time.Duration {
	if now == set {
		return before
	}
	return now
}

func (s *student) keep(name string, before, set pool.Limits, learned bool) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	p := s.peers[name]
	if p == nil {
		return
	}
	switch {
	case !learned:
		p.change = nil
		return
	case p.change != nil:
		before = p.change.before
	}
	p.change = &change{before, set}
	if p.lesson != nil {
		p.lesson.Limit = set.MaxIdleTime
	}
}
