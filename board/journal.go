package board

import (
	"slices"
	"sync"
	"time"

	"herz.example/herz/pool"
)

// journalKept is how many events a board remembers, and journalShown how many each snapshot has.
const journalKept, journalShown = 512, 100

// journal remembers what happened in the pools that have the board as an observer.
type journal struct {
	// mu guards what follows. Nothing is called under it.
	mu     sync.Mutex
	number uint64
	events []eventJSON // oldest first
}

// WantsLoans reports false: loans are too many to be listed.
func (b *Board) WantsLoans() bool { return false }

// Observe makes a board an observer of pools: what happened in them is listed, but for loans, and planned ends of connections. A pool whose events are
// to be listed is given the board, beside other observers by pool.Tee; to be shown it has to be a source as well.
func (b *Board) Observe(e pool.Event) {
	b.timings.observe(&e)
	if e.Kind == pool.Leaked {
		b.leaks.observe(&e)
	}
	if !listed(e) {
		return
	}
	j := eventJSON{At: e.At.UTC().Format(time.RFC3339Nano), Pool: e.Pool, Kind: e.Kind.String(), Conn: e.Conn, Seconds: e.Duration.Seconds(), Stack: e.Stack}
	if e.Death != nil {
		d := fromDeath(*e.Death)
		j.Death, j.Cause = &d, d.Cause
	} else {
		j.Cause = causeName(e.Cause)
	}
	if e.Err != nil {
		j.Error = shorten(e.Err.Error(), 500)
	}
	if c := e.Limits; c != nil {
		j.Before, j.After = differing(c.Before, c.After)
	}
	b.journal.enter(j)
}

// listed leaves out what happens all the time.
func listed(e pool.Event) bool {
	switch e.Kind {
	case pool.ConnectionClosed:
		return e.Death == nil && e.Err != nil || e.Death != nil && !e.Death.Cause.Ours()
	case pool.Heartbeat:
		return e.Err != nil
	case pool.PoolCreated, pool.PoolCleared, pool.PoolClosed, pool.Leaked, pool.LimitsChanged, pool.Misused:
		return true
	default:
		return false
	}
}

// differing are the limits that a change changed.
func differing(before, after pool.Limits) (was, is map[string]any) {
	was, is = map[string]any{}, map[string]any{}
	for _, f := range limitFields {
		if x, y := f.value(&before), f.value(&after); x != y {
			was[f.name], is[f.name] = x, y
		}
	}
	return was, is
}

func (j *journal) enter(e eventJSON) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.number++
	e.ID = j.number
	if len(j.events) >= journalKept {
		j.events = slices.Delete(j.events, 0, len(j.events)-journalKept+1)
	}
	j.events = append(j.events, e)
}

// newest lists events, newest first.
func (j *journal) newest(most int) []eventJSON {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := slices.Clone(j.events[max(len(j.events)-most, 0):])
	slices.Reverse(list)
	return append([]eventJSON{}, list...)
}
