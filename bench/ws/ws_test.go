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

func TestMain(m *testing.M) {
	if name := os.Getenv(serveEnv); name != "" {
		if err := serveAs(name, os.Stdin, os.Stdout); err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error()+"\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestShortRunWritesEveryRowAndAVerdictForEachTarget(t *testing.T) {
	dir := t.TempDir()
	if code := command(context.Background(), []string{"--rounds", "1", "--window", "2s", "--connections", "200", "--out", dir}, io.Discard, os.Stderr); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "ws.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Verdict) != 6 || len(r.Series) != 3 {
		t.Errorf("%d verdicts, %d series", len(r.Verdict), len(r.Series))
	}
	for _, s := range r.Series {
		if len(s.Micros) != 1 || s.Micros[0] <= 0 || s.Beats[0] < 100 || len(s.Yard) != 1 || s.Yard[0] <= 0 || (s.Goroutines[0] > 200) != (s.Subject == "portable") {
			t.Errorf("%+v", s)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "ws.md"))
	if err != nil || !strings.Contains(string(text), "| epoll, devices with names |") {
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
