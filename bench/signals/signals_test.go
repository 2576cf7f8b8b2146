package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestShortRunWritesEveryRowAndAVerdictForEachTarget(t *testing.T) {
	dir := t.TempDir()
	if code := command([]string{"--rounds", "5", "--window", "1ms", "--out", dir}, io.Discard, io.Discard); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "signals.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Verdict) != 4 || len(r.Series) != 12 {
		t.Errorf("%d verdicts, %d series", len(r.Verdict), len(r.Series))
	}
	for _, s := range r.Series {
		if len(s.NsPerPair) != 5 || s.NsPerPair[0] <= 0 {
			t.Errorf("%d g, %s: %v", s.Goroutines, s.Subject, s.NsPerPair)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "signals.md"))
	if err != nil || !strings.Contains(string(text), "| 16 | herzotel, metrics |") {
		t.Errorf("the table: %v\n%s", err, text)
	}
}

func TestWrongUsageExitsWithTwo(t *testing.T) {
	for _, args := range [][]string{{"--rounds", "1"}, {"-o", "xml"}, {"more"}, {"--nonsense"}} {
		if code := command(args, io.Discard, io.Discard); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}
