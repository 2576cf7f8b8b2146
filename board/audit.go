package board

import (
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Outcomes of an action.
const (
	done    = "done"
	failed  = "failed"  // it was begun, and did not come to its end
	refused = "refused" // nothing was changed
)

// audit remembers who changed what, and who tried to. What was refused has room of its own: whoever may not act must not be able to push
// out the record of those who did.
type audit struct {
	log   *slog.Logger
	limit int

	// mu guards what follows. Nothing is called under it.
	mu         sync.Mutex
	number     uint64
	acted      []auditJSON // oldest first
	turnedAway []auditJSON
	second     time.Time // of the lines about refused actions
	lines      int
	suppressed int
}

// linesPerSecond bounds what refused actions write to the log.
const linesPerSecond = 10

// enter numbers an event, remembers it and logs it.
func (a *audit) enter(e auditJSON) auditJSON {
	now := time.Now()
	e.At = now.UTC().Format(time.RFC3339Nano)
	a.mu.Lock()
	a.number++
	e.ID = a.number
	write, more := true, 0
	if e.Outcome == refused {
		a.turnedAway = push(a.turnedAway, e, a.limit)
		write, more = a.admitLocked(now)
	} else {
		a.acted = push(a.acted, e, a.limit)
	}
	a.mu.Unlock()
	if more > 0 {
		a.log.Warn("herz: more actions were refused than lines are written", "suppressed", more)
	}
	if write {
		a.write(e)
	}
	return e
}

// begun logs that an action which may take long has begun: the record has it when it ends, and the process may end before.
func (a *audit) begun(e auditJSON) {
	a.log.Info("herz: action on a pool has begun", "action", e.Action, "pool", e.Pool, "who", e.Who, "from", e.From, "reason", e.Reason)
}

func push(list []auditJSON, e auditJSON, limit int) []auditJSON {
	if len(list) >= limit {
		list = slices.Delete(list, 0, len(list)-limit+1)
	}
	return append(list, e)
}

// admitLocked decides whether a refusal gets a line, and how many did not in the second before.
func (a *audit) admitLocked(now time.Time) (line bool, suppressed int) {
	if now.Sub(a.second) >= time.Second {
		a.second, a.lines = now, 0
		suppressed, a.suppressed = a.suppressed, 0
	}
	if a.lines >= linesPerSecond {
		a.suppressed++
		return false, suppressed
	}
	a.lines++
	return true, suppressed
}

func (a *audit) write(e auditJSON) {
	say := a.log.Warn
	if e.Outcome == done {
		say = a.log.Info
	}
	about := []any{"action", e.Action, "pool", e.Pool, "who", e.Who, "from", e.From, "outcome", e.Outcome}
	if e.Before != nil {
		about = append(about, "before", e.Before, "after", e.After)
	}
	if e.Action == string(Evict) && e.Outcome != refused {
		about = append(about, "closed", e.Closed)
	}
	if e.Reason != "" {
		about = append(about, "reason", e.Reason)
	}
	if e.Detail != "" {
		about = append(about, "detail", e.Detail)
	}
	say("herz: action on a pool", append(about, "audit", e.ID, "took", time.Duration(e.Seconds*float64(time.Second)).Round(time.Millisecond))...)
}

// newest lists events, newest first.
func (a *audit) newest(most int) []auditJSON {
	a.mu.Lock()
	all := slices.Concat(a.acted, a.turnedAway)
	a.mu.Unlock()
	slices.SortFunc(all, func(x, y auditJSON) int { return int(y.ID) - int(x.ID) }) //nolint:gosec // counts of requests
	if len(all) > most {
		all = all[:most]
	}
	if all == nil {
		all = []auditJSON{}
	}
	return all
}
