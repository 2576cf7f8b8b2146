//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const results = `{"server": {
  "1.1.1": {"behavior": "OK", "behaviorClose": "OK", "duration": 2, "remoteCloseCode": 1000},
  "10.1.1": {"behavior": "OK", "behaviorClose": "WRONG CODE"},
  "9.1.1": {"behavior": "FAILED", "behaviorClose": "OK"},
  "6.4.1": {"behavior": "NON-STRICT", "behaviorClose": "OK"},
  "7.13.1": {"behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL"}}}`

func TestCaseThatWasNotPassedIsNamedAndFailsTheRun(t *testing.T) {
	all, err := parse([]byte(results))
	if err != nil {
		t.Fatal(err)
	}
	if err = judge(all); !errors.Is(err, errCases) || !strings.Contains(err.Error(), ": 2 ") {
		t.Errorf("judged: %v", err)
	}
	got := table(all)
	if !strings.Contains(got, "| server | 5 | 1 | 1 | 1 | 2 |") {
		t.Errorf("the row of the table:\n%s", got)
	}
	if at := strings.Index(got, "case 9.1.1: FAILED"); at < 0 || at > strings.Index(got, "case 10.1.1: OK, at its close WRONG CODE") {
		t.Errorf("the cases, by their numbers:\n%s", got)
	}
	delete(all[0].cases, "9.1.1")
	delete(all[0].cases, "10.1.1")
	if err = judge(all); err != nil {
		t.Errorf("all passed, and judged: %v", err)
	}
}

func TestResultsWithoutACaseAreNoSuccess(t *testing.T) {
	for _, raw := range []string{``, `{}`, `{"server": {}}`, `[]`} {
		if all, err := parse([]byte(raw)); err == nil {
			t.Errorf("%q: %v", raw, all)
		}
	}
}

func TestWrongUsageExitsWithTwo(t *testing.T) {
	for _, args := range [][]string{{}, {"--suite", "/nowhere"}, {"--suite", t.TempDir(), "more"}, {"--suite", ".", "--cases", ""}, {"--nonsense"}} {
		if code := command(context.Background(), args, io.Discard, io.Discard); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}
