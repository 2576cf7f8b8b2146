package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == serveWord { // the bench starts itself once more
		if serve(os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestTrialWritesEveryRowAndAVerdictForEachTarget(t *testing.T) {
	dir := t.TempDir()
	if code := command(t.Context(), []string{"--trial", "--out", dir}, io.Discard, io.Discard); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "http-trial.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Verdict) != 13 || len(r.Costs) != 6 || len(r.Losses) != 6 || len(r.Crimes) != 18 || len(r.Holes) != 3 || len(r.Waves) != 2 {
		t.Errorf("%d verdicts, %d costs, %d losses, %d crimes, %d holes, %d waves", len(r.Verdict), len(r.Costs), len(r.Losses), len(r.Crimes), len(r.Holes), len(r.Waves))
	}
	for _, c := range r.Costs {
		if len(c.CPU) != tiny.Rounds || c.CPU[0] <= 0 {
			t.Errorf("%s, %s: %v", c.Protocol, c.Subject, c.CPU)
		}
	}
	for _, l := range append(r.Losses, r.Crimes...) {
		if l.Client == oursName && l.Twice != 0 {
			t.Errorf("herzhttp had %d orders executed twice by a server that %s", l.Twice, l.Server)
		}
	}
}

func TestWrongUsageExitsWithTwo(t *testing.T) {
	for _, args := range [][]string{{"-o", "xml"}, {"more"}, {"--nonsense"}} {
		if code := command(t.Context(), args, io.Discard, io.Discard); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}
