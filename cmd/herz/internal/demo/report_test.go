package demo_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/cmd/herz/internal/demo"
	"herz.example/herz/cmd/herz/internal/demo/judge"
	"herz.example/herz/cmd/herz/internal/demo/script"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func text(t *testing.T, r demo.Report, colours bool) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteText(&b, colours); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTheTableSaysWhoFailedAndWhatWasLeftOut(t *testing.T) {
	r := demo.Report{
		Clients: []demo.ClientReport{{Name: "bad", Kind: "herz", Requests: 4, Right: 1, Wrong: 3, LongestStall: 9.5}},
		Verdict: judge.Verdict{Lines: []string{"bad: the promise is broken: 3 wrong answers"}},
		LeftOut: []script.Event{{Fault: script.Fault{Name: "outage"}, Why: "the kernel refuses it"}},
	}
	got := text(t, r, false)
	for _, want := range []string{"bad", "9.50 s", "promise is broken", "verdict: FAILED", "left out: outage: the kernel refuses it"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "\x1b[") || !strings.Contains(text(t, r, true), "\x1b[31m") {
		t.Error("colours only when asked for, and then red for what is bad")
	}
	r.Verdict.Good = true
	if got = text(t, r, false); strings.Contains(got, "FAILED") {
		t.Errorf("a good verdict reads\n%s", got)
	}
}

func TestNothingStartsWithAMistakeInIt(t *testing.T) {
	for name, c := range map[string]demo.Config{
		"fault": {Faults: []string{"x"}}, "address": {Addr: "0.0.0.0:1"}, "duration": {Duration: -time.Second},
		"mysql": {MySQL: "x"}, "redis": {Redis: "x"},
	} {
		_, err := demo.Run(t.Context(), c)
		var input *demo.InputError
		if !errors.As(err, &input) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
