package script

import (
	"context"
	"time"
)

// beat is how often a fault that lasts is looked after.
const beat = 50 * time.Millisecond

// Run makes the plan happen and returns at its end, or when ctx ends. changed is told of each event that changed.
func Run(ctx context.Context, s Stage, p Plan, start time.Time, changed func(index int, e Event)) {
	for i, e := range p.Events {
		if !sleep(ctx, start.Add(e.Start)) {
			return
		}
		if err := e.begin(s); err != nil {
			undo(s)
			e.State, e.Why = LeftOut, err.Error()
			changed(i, e)
			continue
		}
		e.State, e.Start = Active, time.Since(start)
		changed(i, e)
		for now := time.Since(start); now < e.End && ctx.Err() == nil; now = time.Since(start) {
			if e.tick != nil {
				e.tick(s, now-e.Start)
			}
			sleep(ctx, start.Add(min(now+beat, e.End)))
		}
		e.end(s)
		e.State, e.End = Over, time.Since(start)
		changed(i, e)
	}
	sleep(ctx, start.Add(p.Length))
}

// undo ends every fault that a begin that failed half-way may have left.
func undo(s Stage) {
	for _, p := range s.Proxies {
		p.Restore()
		p.Thaw()
		p.Fill()
		p.LoseAnswers(0)
	}
	s.Gate.Open()
}

// sleep waits until then. It returns false when ctx ended before.
func sleep(ctx context.Context, then time.Time) bool {
	t := time.NewTimer(time.Until(then))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
