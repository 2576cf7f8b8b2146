package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/bench/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestShortRunMeasuresEverySubjectAndEveryFault(t *testing.T) {
	dir := t.TempDir()
	r := newReport("tiny", plan{rounds: 5, window: 5 * time.Millisecond, holes: 1, enough: 6 * time.Second, quiet: 200 * time.Millisecond}, 7)
	if err := r.collect(t.Context(), t.Output()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.write(dir, "json", &out); err != nil {
		t.Fatal(err)
	}
	var read report
	if err := json.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	if len(read.Series) != 10 || len(read.Verdict) != 4 || len(read.Holes) != 9 || len(read.Silences) != 3 || read.Seed != 7 {
		t.Errorf("%d series, %d verdicts, %d holes, %d silences", len(read.Series), len(read.Verdict), len(read.Holes), len(read.Silences))
	}
	for _, s := range read.Series {
		if len(s.CPU) != 5 || s.CPU[0] <= 0 || s.Rate[4] <= 0 || s.Allocs[2] <= 0 {
			t.Errorf("%d g, %s: %+v", s.Goroutines, s.Subject, s)
		}
	}
	for _, h := range read.Holes {
		if h.Client == bareName && h.Out {
			t.Errorf("plain gRPC got out of a black hole: there was none: %+v", h)
		}
		if h.Client == herzName && (!h.Out || h.Seconds < 1) {
			t.Errorf("%+v", h)
		}
	}
	for _, s := range read.Silences {
		if s.Ended != "" || s.Seconds < .2 {
			t.Errorf("%+v", s)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "tiny.md"))
	if err != nil || !strings.Contains(string(text), "| 16 | otelgrpc |") || !strings.Contains(string(text), "not within 6") {
		t.Errorf("the table: %v\n%s", err, text)
	}
}

// made is a report in which herzgrpc costs so much more than plain, and plain so much more than itself.
func made(herz, again, seconds float64, ended string) *report {
	r := newReport("made", plan{quiet: time.Minute}, 1)
	for _, g := range rows {
		for name, cpu := range map[string]float64{plainName: 1000, againName: 1000 * again, herzName: 1000 * herz} {
			r.Series = append(r.Series, &series{Goroutines: g, Subject: name, CPU: []float64{cpu, cpu, cpu}})
		}
	}
	r.Holes = []hole{{Client: herzName, Seconds: seconds, Out: true}, {Client: bareName, Seconds: 99}}
	r.Silences = []silence{{Client: "herzgrpc", Ended: ended}, {Client: fastestName, Ended: "too_many_pings"}}
	r.judge()
	return r
}

func TestEachTargetThatIsNotReachedIsMissed(t *testing.T) {
	if r := made(1.10, 1, 3.4, ""); record.Missed(r.Verdict) {
		t.Errorf("%+v", r.Verdict)
	}
	if r := made(1.20, 1.1, 3.4, ""); record.Missed(r.Verdict) {
		t.Errorf("the noise counts: %+v", r.Verdict)
	}
	for what, r := range map[string]*report{"CPU": made(1.12, 1, 3.4, ""), "hole": made(1, 1, 3.6, ""), "pings": made(1, 1, 3.4, "too_many_pings")} {
		if !record.Missed(r.Verdict) {
			t.Errorf("%s: %+v", what, r.Verdict)
		}
	}
}

func TestWrongUsageExitsWithTwo(t *testing.T) {
	for _, args := range [][]string{{"--rounds", "1"}, {"-o", "xml"}, {"more"}, {"--nonsense"}} {
		if code := command(t.Context(), args, io.Discard, io.Discard); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}
