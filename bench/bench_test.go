package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/bench/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testRow = "1 g, pool 8, no hold"

// made is a report in which herz, puddle and HikariCP took the given times in three repetitions.
func made(herz, puddle, hikari float64) *report {
	r := newReport(true)
	r.Procs = 2
	row := work{Name: testRow, Goroutines: 1, Pool: 8}
	r.Rows, r.subjects = []work{row}, []string{herzName, puddleName, hikariName}
	for rep := range 3 {
		r.add(row, herzName, rep, sample{NsPerPair: herz, CPUWall: 1})
		r.add(row, puddleName, rep, sample{NsPerPair: puddle, CPUWall: 1})
		r.add(row, hikariName, rep, sample{NsPerPair: hikari, CPUWall: 1})
	}
	r.Verdict = r.judge()
	return r
}

func TestRatioIsTheMedianOfRatiosWithinARepetition(t *testing.T) {
	r := &report{Machine: record.Machine{Procs: 2}}
	row := work{Name: "x", Goroutines: 1}
	for rep, pair := range [][2]float64{{10, 100}, {40, 100}, {60, 600}} {
		r.add(row, herzName, rep, sample{NsPerPair: pair[0], CPUWall: 1})
		r.add(row, puddleName, rep, sample{NsPerPair: pair[1], CPUWall: 1})
	}
	r.add(row, herzName, 3, sample{NsPerPair: 1, CPUWall: 1}) // no partner in its repetition
	if got, n := r.ratio("x", herzName, puddleName, ns); got != 0.1 || n != 3 {
		t.Fatalf("ratio %v of %d windows, want 0.1 of 3", got, n)
	}
}

func TestWindowThatDidNotHaveTheProcessorsIsThrownAway(t *testing.T) {
	for _, c := range []struct {
		goroutines, procs int
		cpuWall           float64
		want              bool
	}{{2, 2, 1.49, false}, {2, 2, 1.5, true}, {1, 2, .89, false}, {1, 2, .9, true}, {2, 1, .9, true}} {
		if got := counts(work{Goroutines: c.goroutines}, sample{CPUWall: c.cpuWall}, c.procs); got != c.want {
			t.Errorf("%d goroutines on %d processors with CPU/wall %v: counts %v", c.goroutines, c.procs, c.cpuWall, got)
		}
	}
}

func TestWhatNoWindowCountedForSaysNoneAndNotZero(t *testing.T) {
	r := newReport(true)
	r.Procs = 2
	row := work{Name: "16 g, pool 8, no hold", Goroutines: 16, Pool: 8}
	r.Rows, r.subjects = []work{row}, []string{herzName, puddleName}
	r.add(row, herzName, 0, sample{NsPerPair: 20, CPUWall: 1.9})
	r.add(row, puddleName, 0, sample{NsPerPair: 500, CPUWall: 1.2})
	r.Verdict = r.judge()
	text := r.table()
	for _, want := range []string{"| none | 0 | no valid window |", "| 16 g, pool 8, no hold | puddle | none | none |", "| 0+1 |", "| herz | 20.0 | none |"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if !strings.Contains(r.chart(), ">none</text>") {
		t.Error("the chart has a bar where nothing was measured")
	}
	if !record.Missed(r.Verdict) {
		t.Error("a target that could not be judged passes")
	}
}

func TestVerdictFollowsTheFigures(t *testing.T) {
	for _, c := range []struct {
		herz         float64
		puddle, java string
	}{{10, "aim met", "aim met"}, {20, "met", "aim met"}, {30, "missed", "met"}, {90, "missed", "missed"}} {
		r := made(c.herz, 100, 100)
		if r.Verdict[0].Verdict != c.puddle || r.Verdict[1].Verdict != c.java {
			t.Errorf("%v of 100 ns: %s and %s, want %s and %s", c.herz, r.Verdict[0].Verdict, r.Verdict[1].Verdict, c.puddle, c.java)
		}
		if record.Missed(r.Verdict) != (c.puddle == "missed" || c.java == "missed") {
			t.Errorf("%v of 100 ns: missed %v", c.herz, record.Missed(r.Verdict))
		}
	}
}

func TestChartIsXMLAndHasABarForEachPool(t *testing.T) {
	r := made(20, 100, 60)
	d := xml.NewDecoder(strings.NewReader(r.chart()))
	bars := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if bars != 3 {
		t.Errorf("%d bars for 3 pools", bars)
	}
}

func TestEverySubjectLendsUnderAllKindsOfRows(t *testing.T) {
	for _, s := range subjects() {
		for _, row := range []work{
			{Goroutines: 4, Pool: 3, Window: 2 * time.Millisecond},
			{Goroutines: 4, Pool: 3, Exhausted: true, Window: 2 * time.Millisecond},
			{Goroutines: 4, Pool: 3, Fresh: true, Yield: true, Latency: true, Window: 2 * time.Millisecond},
		} {
			got, err := s.measure(t.Context(), row)
			if err != nil || got.NsPerPair <= 0 || row.Latency && got.P99 <= 0 {
				t.Errorf("%s: %+v, %v", s.name, got, err)
			}
		}
	}
}

func TestPairsAndWaitsAreCountedOnceEach(t *testing.T) {
	for _, row := range []work{{}, {Fresh: true}, {Yield: true, Latency: true}} {
		var stop atomic.Bool
		j := &job{row: row, stop: &stop}
		var taken, given int64
		acquire := func(context.Context) (int64, error) {
			if taken++; taken == 100 {
				stop.Store(true)
			}
			return taken, nil
		}
		err := loop(t.Context(), j, acquire, func(n int64) error { given += n; return nil })
		if err != nil || j.pairs != 100 || given != 5050 || row.Latency && len(j.waits) != 100 {
			t.Errorf("%+v: %d pairs of 100, returned %d of 5050, %d waits, %v", row, j.pairs, given, len(j.waits), err)
		}
	}
}

func TestAPoolThatFailsFailsTheRun(t *testing.T) {
	broken := errors.New("refused")
	open := func(int) (lender, error) {
		fail := func(context.Context) (int, error) { return 0, broken }
		nothing := func(int) error { return nil }
		return lend(fail, nothing, func(context.Context, *job) error { return broken }, func() error { return nil }), nil
	}
	patience, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := measure(patience, open, work{Goroutines: 1, Pool: 2, Window: time.Millisecond}); !errors.Is(err, broken) {
		t.Errorf("a pool that refuses gave %v", err)
	}
}

// javaThat answers each line with what say makes of it.
func javaThat(t *testing.T, say func(line string) string) *hikari {
	t.Helper()
	asked, in := io.Pipe()
	out, answers := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = answers.Close() }()
		lines := bufio.NewScanner(asked)
		for lines.Scan() {
			_, _ = fmt.Fprintln(answers, say(lines.Text()))
		}
	}()
	h := &hikari{in: in, out: bufio.NewReader(out), wait: func() error { <-done; return nil }}
	t.Cleanup(h.stop)
	return h
}

func TestHikariIsAskedAndUnderstood(t *testing.T) {
	var asked string
	h := javaThat(t, func(line string) string { asked = line; return "ok 1000 50000 90000 400 600 10 20 30" })
	s, err := h.measure(t.Context(), work{Goroutines: 16, Pool: 8, Yield: true, Latency: true, Window: long})
	want := sample{NsPerPair: 50, CPUWall: 1.8, P50: 10, P99: 20, P999: 30, Fairness: 1.5}
	if err != nil || s != want || asked != "16 8 true true false 600000000" {
		t.Errorf("asked %q, understood %+v, %v", asked, s, err)
	}
	for _, w := range []work{{Goroutines: 257}, {Goroutines: 1, Fresh: true}} {
		if _, err := h.measure(t.Context(), w); !errors.Is(err, errNoRow) {
			t.Errorf("a row that HikariCP does not have gave %v", err)
		}
	}
}

func TestHikarisFailureIsTold(t *testing.T) {
	for _, said := range []string{"error java.lang.OutOfMemoryError", "ok 1 2", "ok 0 5 5 0 0 0 0 0"} {
		h := javaThat(t, func(string) string { return said })
		if _, err := h.measure(t.Context(), work{Goroutines: 1, Pool: 1}); err == nil || !strings.Contains(err.Error(), "HikariCP") {
			t.Errorf("%q gave %v", said, err)
		}
	}
}

func TestWrongUsageEndsWithTwoAndHelpWithZero(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-o", "yaml"}, 2, "text or -o json"},
		{[]string{"--only", "no such row"}, 2, "no row's name"},
		{[]string{"--nonsense"}, 2, "nonsense"},
		{[]string{"stray"}, 2, "stray"},
		{[]string{"--help"}, 0, "go run ./bench --quick"},
	} {
		var out, log bytes.Buffer
		if code := command(t.Context(), c.args, &out, &log); code != c.code || !strings.Contains(log.String(), c.says) {
			t.Errorf("%v: exit %d, said %q", c.args, code, log.String())
		}
	}
}

func TestRowsHaveNamesOfTheirOwnAndTheQuickOnesAreAmongAll(t *testing.T) {
	all := map[string]bool{}
	for _, w := range rows(false) {
		if all[w.Name] {
			t.Errorf("two rows are called %q", w.Name)
		}
		all[w.Name] = true
	}
	for _, w := range rows(true) {
		if !all[w.Name] {
			t.Errorf("%q is only in the quick run", w.Name)
		}
	}
	for _, f := range made(1, 1, 1).Verdict {
		if !all[f.Row] {
			t.Errorf("the target of %q has no row", f.Row)
		}
	}
}
