package judge

import (
	"fmt"
	"strings"
	"time"
)

// StallMax is the longest that a request through Herz may take: its budget of 3.2 s, and 0.1 s for the way to the handler and back.
const StallMax = 3300 * time.Millisecond

// Line is one client before the judge.
type Line struct {
	Name     string
	Promised bool // it goes through Herz and so must not fail silently
	Tally
}

// Verdict is what the judge says.
type Verdict struct {
	Good  bool     `json:"good"`
	Lines []string `json:"lines"`
}

// Decide gives the verdict: it is good when every client that promised something kept it, and there is one. A run whose faults were
// all left out has shown nothing; happened and leftOut are their numbers.
func Decide(clients []Line, happened, leftOut int) Verdict {
	v := Verdict{Good: true}
	promised := false
	for _, c := range clients {
		if !c.Promised {
			v.Lines = append(v.Lines, c.Name+": "+suffered(c.Tally))
			continue
		}
		promised = true
		if broken := Broken(c.Tally); len(broken) > 0 {
			v.Good = false
			v.Lines = append(v.Lines, c.Name+": the promise is broken: "+strings.Join(broken, ", "))
			continue
		}
		v.Lines = append(v.Lines, fmt.Sprintf("%s: the promise is kept: %d right, %d honest errors, nothing wrong, empty, twice or on a dead "+
			"connection; longest stall %.2f s", c.Name, c.Right, c.Errors, c.LongestStall.Seconds()))
	}
	if !promised {
		v.Good = false
		v.Lines = append(v.Lines, "no client went through Herz, so nothing was shown")
	}
	if happened == 0 && leftOut > 0 {
		v.Good = false
		v.Lines = append(v.Lines, "every fault was left out, so nothing was shown; run it on Linux as root, or choose other faults")
	}
	return v
}

// Broken lists what a client through Herz must not have; it is empty when the promise is kept.
func Broken(t Tally) []string {
	var broken []string
	never := func(n int, what string) {
		if n != 0 {
			broken = append(broken, fmt.Sprintf("%d %s", n, what))
		}
	}
	never(t.Wrong, "wrong answers")
	never(t.Empty, "empty answers")
	never(t.Duplicates, "requests executed more than once")
	never(t.DeadLent, "requests put on a dead connection")
	if t.LongestStall > StallMax {
		broken = append(broken, fmt.Sprintf("a request took %.2f s, more than %.1f s", t.LongestStall.Seconds(), StallMax.Seconds()))
	}
	if t.Right == 0 {
		broken = append(broken, "not one right answer")
	}
	return broken
}

func suffered(t Tally) string {
	var said []string
	some := func(n int, what string) {
		if n != 0 {
			said = append(said, fmt.Sprintf("%d %s", n, what))
		}
	}
	some(t.Wrong, "wrong and")
	some(t.Empty, "empty answers with status 200")
	if t.Wrong > 0 && t.Empty == 0 {
		said[0] = fmt.Sprintf("%d wrong answers with status 200", t.Wrong)
	}
	if len(said) == 2 {
		said = []string{said[0] + " " + said[1]}
	}
	some(t.Duplicates, "requests executed more than once")
	some(t.DeadLent, "requests put on a dead connection")
	some(t.Errors, "errors")
	said = append(said, fmt.Sprintf("longest stall %.2f s", t.LongestStall.Seconds()))
	return strings.Join(said, ", ")
}
