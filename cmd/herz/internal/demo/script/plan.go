package script

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// warmUp is the time before the first fault, so that every pool is full.
const warmUp = 2 * time.Second

// jitter is how much later than planned a fault may begin, so that seeds differ in what they hit.
const jitter = 300 * time.Millisecond

// State is how far a fault has come.
type State string

// The states of a fault.
const (
	Coming  State = "coming"
	Active  State = "active"
	Over    State = "over"
	LeftOut State = "left_out"
)

// Event is one fault of a plan.
type Event struct {
	Fault
	Start, End time.Duration // since the begin of the run
	State      State
	Why        string // it was left out
}

// Plan is what will happen.
type Plan struct {
	Events []Event
	Length time.Duration
}

// UnknownFaultError says that there is no such fault.
type UnknownFaultError struct{ Name string }

// Error names what there is.
func (e *UnknownFaultError) Error() string {
	var names []string
	best, least := "", 4
	for _, f := range All() {
		names = append(names, f.Name)
		if d := distance(e.Name, f.Name); d < least {
			best, least = f.Name, d
		}
	}
	if best != "" {
		return fmt.Sprintf("there is no fault %q; did you mean %q? There are: %s", e.Name, best, strings.Join(names, ", "))
	}
	return fmt.Sprintf("there is no fault %q; use one of: %s", e.Name, strings.Join(names, ", "))
}

// Choose gives the faults with these names, in this order; all when there are no names.
func Choose(names []string) ([]Fault, error) {
	if len(names) == 0 {
		return All(), nil
	}
	var chosen []Fault
next:
	for _, n := range names {
		for _, f := range All() {
			if f.Name == n {
				chosen = append(chosen, f)
				continue next
			}
		}
		return nil, &UnknownFaultError{Name: n}
	}
	return chosen, nil
}

// Once plans the faults one after the other, a round. length cuts it, and a length longer than a round repeats it; 0 is
// one round.
func Once(faults []Fault, length time.Duration, seed uint64) Plan {
	p := Plan{Length: length}
	random := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // repeatable on purpose
	at := warmUp
	if length > 0 {
		at = min(at, length/4)
	}
	for {
		for _, f := range faults {
			start := at + time.Duration(random.Int64N(int64(jitter)))
			if length > 0 && start >= length {
				return p
			}
			e := Event{Fault: f, Start: start, End: start + f.length, State: Coming}
			if length > 0 {
				e.End = min(e.End, length)
			}
			p.Events = append(p.Events, e)
			at = start + f.length + f.rest
		}
		if length == 0 {
			p.Length = at
			return p
		}
	}
}

// distance is the number of letters to change, add or leave out to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
