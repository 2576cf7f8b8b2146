package judge

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Outcome is what an answer was worth to who asked.
type Outcome int

// The outcomes.
const (
	Right  Outcome = iota
	Wrong          // 200 with something else than what was asked for
	Empty          // 200 with nothing in it
	Failed         // anything that tells that it is no answer
)

var outcomes = [...]string{Right: "right", Wrong: "wrong", Empty: "empty", Failed: "error"}

// String gives the outcome in one word.
func (o Outcome) String() string {
	if o < 0 || int(o) >= len(outcomes) {
		return fmt.Sprintf("Outcome(%d)", int(o))
	}
	return outcomes[o]
}

// Look gives the outcome of an answer: its HTTP status and the value in its body, which should be want.
func Look(status int, value, want string) Outcome {
	switch {
	case status != 200:
		return Failed
	case value == "":
		return Empty
	case value != want:
		return Wrong
	default:
		return Right
	}
}

// Settled is the time after its end at which nothing can happen any more to a request: no fault of the script holds one that long.
const Settled = 30 * time.Second

// Patience is the time after which a request that was cut off by the end of the run counts as an error. A younger one counts as never
// made: nobody knows what would have become of it.
const Patience = 3200 * time.Millisecond

// bucketWidth and bucketsMax are those of the history that the page draws.
const (
	bucketWidth = 500 * time.Millisecond
	bucketsMax  = 240
)

// Tally is what happened to the requests of one client.
type Tally struct {
	Requests, Right, Wrong, Empty, Errors int
	Duplicates                            int
	LongestStall                          time.Duration // the longest time a request took to its answer or error, or waits by now
	DeadLent                              int
	InFlight                              int
	Oldest                                time.Duration // how long the oldest request waits by now
}

// Bucket is half a second of a client's history.
type Bucket struct {
	Start                            time.Duration
	Right, Wrong, Empty, Errors, Dup int
	Stall                            time.Duration
}

// Book keeps the history of one client.
type Book struct {
	start time.Time

	// mu guards everything below. Nothing slow happens under it.
	mu      sync.Mutex
	tally   Tally
	flying  map[*Request]struct{}
	adds    map[string]*Request // that are not settled
	buckets []Bucket
}

// Request is one request from its begin to its end.
type Request struct {
	id      string // of a request to add; "" for one to read
	began   time.Time
	ended   time.Time // zero while it waits
	outcome Outcome
	twice   bool
	lost    bool
}

// NewBook opens the book of a client. Times are measured from start.
func NewBook(start time.Time) *Book {
	return &Book{start: start, flying: map[*Request]struct{}{}, adds: map[string]*Request{}}
}

// Begin notes that a request was made at now. id is empty for a request to read.
func (b *Book) Begin(id string, now time.Time) *Request {
	r := &Request{id: id, began: now}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flying[r] = struct{}{}
	if id != "" {
		b.adds[id] = r
	}
	return r
}

// End notes what became of a request.
func (b *Book) End(r *Request, o Outcome, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	took := b.land(r, now)
	r.outcome = o
	b.tally.Requests++
	in := b.bucketLocked(now)
	in.Stall = max(in.Stall, took)
	switch o {
	case Right:
		b.tally.Right++
		in.Right++
	case Wrong:
		b.tally.Wrong++
		in.Wrong++
	case Empty:
		b.tally.Empty++
		in.Empty++
	default:
		b.tally.Errors++
		in.Errors++
	}
}

// Cut notes that the run ended before the request did.
func (b *Book) Cut(r *Request, now time.Time) {
	if now.Sub(r.began) >= Patience {
		b.End(r, Failed, now)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.land(r, now)
	r.outcome = Failed
}

func (b *Book) land(r *Request, now time.Time) time.Duration {
	delete(b.flying, r)
	r.ended = now
	took := now.Sub(r.began)
	b.tally.LongestStall = max(b.tally.LongestStall, took)
	return took
}

func (b *Book) bucketLocked(now time.Time) *Bucket {
	start := now.Sub(b.start).Truncate(bucketWidth)
	if n := len(b.buckets); n == 0 || b.buckets[n-1].Start < start {
		b.buckets = append(b.buckets, Bucket{Start: start})
		if extra := len(b.buckets) - bucketsMax; extra > 0 {
			b.buckets = slices.Delete(b.buckets, 0, extra)
		}
	}
	return &b.buckets[len(b.buckets)-1]
}

// Adds gives the requests to add that are not settled.
func (b *Book) Adds() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.adds))
}

// Executed tells how often the server has executed each of the requests asked, at a time after now. It returns those that are
// settled, of which nothing need be kept.
func (b *Book) Executed(asked []string, times map[string]int, now time.Time) (settled []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range asked {
		r, ok := b.adds[id]
		if !ok {
			continue
		}
		ended := !r.ended.IsZero() && r.ended.Before(now)
		if times[id] > 1 && !r.twice {
			r.twice = true
			b.tally.Duplicates++
			b.bucketLocked(now).Dup++
		}
		if ended && times[id] == 0 && r.outcome == Right && !r.lost {
			r.lost = true
			b.tally.Right--
			b.tally.Wrong++
			b.bucketLocked(now).Wrong++
		}
		if ended && now.Sub(r.ended) > Settled {
			delete(b.adds, id)
			settled = append(settled, id)
		}
	}
	return settled
}

// Tally gives the counts by now.
func (b *Book) Tally(now time.Time) Tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tally
	t.InFlight = len(b.flying)
	for r := range b.flying {
		t.Oldest = max(t.Oldest, now.Sub(r.began))
	}
	t.LongestStall = max(t.LongestStall, t.Oldest)
	return t
}

// History gives the newest two minutes.
func (b *Book) History() []Bucket {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.buckets)
}
