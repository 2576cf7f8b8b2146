package main

import (
	"context"
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
	args := []string{"--rounds", "1", "--window", "100ms", "--connections", "200", "--out", dir}
	if code := command(context.Background(), args, io.Discard, io.Discard); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "idle.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Verdict) != 7 || len(r.Series) != 4 {
		t.Errorf("%d verdicts, %d series", len(r.Verdict), len(r.Series))
	}
	for _, s := range r.Series {
		pooled := s.Subject != noneName
		if len(s.Percent) != 1 || s.Percent[0] <= 0 || (s.Bytes[0] > 50) != pooled || s.Subject != boardName && (s.Goroutines[0] == 1) != pooled {
			t.Errorf("%+v", s)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "idle.md"))
	if err != nil || !strings.Contains(string(text), "| a ping every 30 s |") {
		t.Errorf("the table: %v\n%s", err, text)
	}
}

func TestWrongUsageExitsWithTwo(t *testing.T) {
	for _, args := range [][]string{{"--rounds", "0"}, {"--connections", "9"}, {"--window", "1ms"}, {"-o", "xml"}, {"more"}, {"--nonsense"}} {
		if code := command(context.Background(), args, io.Discard, io.Discard); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

func TestCancelledRunEndsWithAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if code := command(ctx, []string{"--rounds", "1", "--window", "1h", "--out", t.TempDir()}, io.Discard, io.Discard); code != 1 {
		t.Errorf("exit code %d", code)
	}
}
