package judge_test

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/cmd/herz/internal/demo/judge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnAnswerIsWorthWhatTheUserSees(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		value  string
		want   judge.Outcome
	}{
		"the value asked for":   {200, "a", judge.Right},
		"another key's value":   {200, "b", judge.Wrong},
		"nothing":               {200, "", judge.Empty},
		"an honest error":       {502, "", judge.Failed},
		"an error with a value": {500, "a", judge.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			if got := judge.Look(c.status, c.value, "a"); got != c.want {
				t.Fatalf("got %v, want %v", got, c.want)
			}
		})
	}
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

func TestLongestStallCountsRequestsThatStillWait(t *testing.T) {
	b := judge.NewBook(start)
	b.End(b.Begin("", at(0)), judge.Right, at(1))
	b.Begin("", at(2))
	if got := b.Tally(at(14)); got.LongestStall != 12*time.Second || got.InFlight != 1 || got.Requests != 1 {
		t.Fatalf("got %+v", got)
	}
}

func TestARequestCutOffIsAnErrorOnlyWhenItWaitedLong(t *testing.T) {
	b := judge.NewBook(start)
	young, old := b.Begin("y", at(0)), b.Begin("o", at(0))
	b.Cut(young, at(1))
	b.Cut(old, at(4))
	if got := b.Tally(at(5)); got.Requests != 1 || got.Errors != 1 || got.LongestStall != 4*time.Second {
		t.Fatalf("got %+v", got)
	}
}

func TestDuplicatesAreWhatTheServerExecutedTwice(t *testing.T) {
	b := judge.NewBook(start)
	b.End(b.Begin("once", at(0)), judge.Right, at(0.1))
	b.End(b.Begin("failed and thrice", at(0)), judge.Failed, at(0.1))
	b.Begin("waits and twice", at(0))
	for range 3 { // asking again changes nothing
		b.Executed(b.Adds(), map[string]int{"once": 1, "failed and thrice": 3, "waits and twice": 2}, at(1))
	}
	if got := b.Tally(at(1)); got.Duplicates != 2 || got.Wrong != 0 || got.Right != 1 {
		t.Fatalf("got %+v", got)
	}
}

func TestAnAcknowledgementOfNothingIsWrong(t *testing.T) {
	b := judge.NewBook(start)
	b.End(b.Begin("lost", at(0)), judge.Right, at(0.1))
	b.End(b.Begin("refused", at(0)), judge.Failed, at(0.1))
	asked := b.Adds()
	b.End(b.Begin("later", at(2)), judge.Right, at(2.1)) // after the question
	b.Executed(append(asked, "later"), nil, at(1))
	if got := b.Tally(at(3)); got.Wrong != 1 || got.Right != 1 || got.Errors != 1 {
		t.Fatalf("got %+v", got)
	}
}

func TestWhatIsSettledIsKeptNoLonger(t *testing.T) {
	b := judge.NewBook(start)
	b.End(b.Begin("a", at(0)), judge.Right, at(0.1))
	b.Begin("waits", at(0))
	times := map[string]int{"a": 1, "waits": 1}
	if early := b.Executed(b.Adds(), times, at(29)); len(early) != 0 {
		t.Fatalf("settled too early: %v", early)
	}
	if got := b.Executed(b.Adds(), times, at(31)); len(got) != 1 || got[0] != "a" {
		t.Fatalf("got %v", got)
	}
	if left := b.Adds(); len(left) != 1 || left[0] != "waits" {
		t.Fatalf("left %v", left)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	b := judge.NewBook(start)
	for i := range 1000 {
		b.End(b.Begin("", at(float64(i))), judge.Right, at(float64(i)+0.1))
	}
	h := b.History()
	if len(h) != 240 || h[239].Start != 999*time.Second || h[239].Right != 1 {
		t.Fatalf("%d buckets, the last %+v", len(h), h[len(h)-1])
	}
}

func TestHerzIsFoundGuiltyOfEachSilentFailure(t *testing.T) {
	good := judge.Tally{Requests: 10, Right: 8, Errors: 2, LongestStall: 3200 * time.Millisecond}
	for name, spoil := range map[string]func(*judge.Tally){
		"wrong":           func(t *judge.Tally) { t.Wrong = 1 },
		"empty":           func(t *judge.Tally) { t.Empty = 1 },
		"more than once":  func(t *judge.Tally) { t.Duplicates = 1 },
		"dead connection": func(t *judge.Tally) { t.DeadLent = 1 },
		"3.31 s":          func(t *judge.Tally) { t.LongestStall = 3310 * time.Millisecond },
		"right answer":    func(t *judge.Tally) { t.Right = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			spoil(&bad)
			v := judge.Decide([]judge.Line{{Name: "kept", Promised: true, Tally: good}, {Name: "broken", Promised: true, Tally: bad}}, 1, 0)
			if v.Good {
				t.Fatal("the verdict is good")
			}
			if !strings.Contains(v.Lines[1], name) || strings.Contains(v.Lines[0], "broken") {
				t.Fatalf("the lines do not say what it was: %q", v.Lines)
			}
		})
	}
	if v := judge.Decide([]judge.Line{{Name: "kept", Promised: true, Tally: good}}, 1, 0); !v.Good {
		t.Fatalf("an innocent is found guilty: %q", v.Lines)
	}
}

func TestOthersMayFailAndNobodyIsNoProof(t *testing.T) {
	bad := judge.Tally{Requests: 9, Right: 1, Wrong: 3, Empty: 2, Errors: 1, Duplicates: 4, LongestStall: 12 * time.Second, DeadLent: 5}
	good := judge.Tally{Requests: 1, Right: 1}
	if v := judge.Decide([]judge.Line{{Name: "article", Tally: bad}, {Name: "h", Promised: true, Tally: good}}, 1, 0); !v.Good {
		t.Fatalf("what others suffer broke the promise: %q", v.Lines)
	}
	if v := judge.Decide([]judge.Line{{Name: "article", Tally: bad}}, 1, 0); v.Good {
		t.Fatal("nothing was promised and it is said to be kept")
	}
}

func TestARunWithoutFaultsShowsNothing(t *testing.T) {
	kept := []judge.Line{{Name: "h", Promised: true, Tally: judge.Tally{Requests: 1, Right: 1}}}
	if judge.Decide(kept, 0, 2).Good {
		t.Fatal("every fault was left out, and the verdict is good")
	}
	if !judge.Decide(kept, 1, 1).Good || !judge.Decide(kept, 0, 0).Good {
		t.Fatal("one that happened is enough, and so is a run that was stopped before the first")
	}
}
