package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/bench/record"
	"herz.example/herz/faultlab/server"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := server.CleanUp(); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// made is a report in which plain takes 100 ns of processor time, answers 1,000 queries a second with a p99 of 1 ms, and plain-again does the same
// with drift; the others are as given.
func made(others map[string]sample, drift float64) *report {
	r := newReport("made", full, 1)
	r.Rows = matching(rows(), "PostgreSQL, 16 g, prepared")
	row := r.Rows[0].Name
	for round := range 20 {
		noise := 1 + float64(round%5)/10 // the machine gets slower and faster; the ratios within a round do not
		add := func(name string, s sample) {
			s.cpu *= noise
			s.p99 *= noise
			s.perSecond /= noise
			r.add(row, name, round, s)
		}
		add(plainName, sample{perSecond: 1000, cpu: 1e5, cpuWall: 1, p99: 1e6})
		add(againName, sample{perSecond: 1000, cpu: 1e5 * drift, cpuWall: 1, p99: 1e6})
		for name, s := range others {
			add(name, s)
		}
	}
	r.Verdict = r.judge()
	return r
}

func verdict(t *testing.T, r *report, what string) record.Finding {
	t.Helper()
	for _, f := range r.Verdict {
		if strings.HasSuffix(f.What, what) {
			return f
		}
	}
	t.Fatalf("no verdict ends with %q: %+v", what, r.Verdict)
	return record.Finding{}
}

func TestVerdictFollowsTheFigures(t *testing.T) {
	good := map[string]sample{
		guardedName: {perSecond: 910, cpu: 1.04e5, p99: 1.1e6},
		pooledName:  {perSecond: 810, cpu: 1.14e5, p99: 1.1e6},
		pgxpoolName: {perSecond: 400, cpu: 3e5, p99: 3e6},
	}
	r := made(good, 1)
	if len(r.Verdict) != 7 || record.Missed(r.Verdict) {
		t.Errorf("all targets are met, but: %+v", r.Verdict)
	}
	for what, change := range map[string]func(map[string]sample){
		"guarded: client CPU a query × plain, over A/A":             func(m map[string]sample) { m[guardedName] = sample{perSecond: 910, cpu: 1.06e5, p99: 1.1e6} },
		"guarded: queries/s × plain, lower bound":                   func(m map[string]sample) { m[guardedName] = sample{perSecond: 890, cpu: 1.04e5, p99: 1.1e6} },
		"guarded: p99 × plain":                                      func(m map[string]sample) { m[guardedName] = sample{perSecond: 910, cpu: 1.04e5, p99: 1.2e6} },
		"pooled: client CPU a query × plain, over A/A":              func(m map[string]sample) { m[pooledName] = sample{perSecond: 810, cpu: 1.16e5, p99: 1.1e6} },
		"pooled: queries/s × plain, lower bound":                    func(m map[string]sample) { m[pooledName] = sample{perSecond: 790, cpu: 1.14e5, p99: 1.1e6} },
		"pooled: p99 × plain":                                       func(m map[string]sample) { m[pooledName] = sample{perSecond: 810, cpu: 1.14e5, p99: 1.2e6} },
		"prepared, pooled: queries/s × OpenDBFromPool, lower bound": func(m map[string]sample) { m[pgxpoolName] = sample{perSecond: 420, cpu: 3e5, p99: 3e6} },
	} {
		bad := map[string]sample{}
		for name, s := range good {
			bad[name] = s
		}
		change(bad)
		r := made(bad, 1)
		if f := verdict(t, r, what); f.Verdict != "missed" || !record.Missed(r.Verdict) {
			t.Errorf("%s: %+v", what, f)
		}
	}
}

func TestProcessorTimeIsDividedByWhatPlainDiffersFromItself(t *testing.T) {
	r := made(map[string]sample{guardedName: {perSecond: 1000, cpu: 1.2e5, p99: 1e6}}, 1.2)
	if f := verdict(t, r, "guarded: client CPU a query × plain, over A/A"); f.Measured < .999 || f.Measured > 1.001 || f.Windows != 20 {
		t.Errorf("%+v; want 1 of 20 pairs", f)
	}
}

func TestWhatWasNotMeasuredIsMissedAndSaysNone(t *testing.T) {
	r := made(map[string]sample{guardedName: {perSecond: 1000, cpu: 1e5, p99: 1e6}}, 1)
	if f := verdict(t, r, "pooled: p99 × plain"); f.Verdict != "no valid window" || !record.Missed(r.Verdict) {
		t.Errorf("%+v", f)
	}
	if !strings.Contains(r.table(), "| none | 0 | no valid window |") {
		t.Error(r.table())
	}
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	r := newReport("made", full, 1)
	for round, pair := range [][2]float64{{10, 100}, {40, 100}, {60, 600}} {
		r.add("x", plainName, round, sample{perSecond: pair[1]})
		r.add("x", pooledName, 2-round, sample{perSecond: pair[0]}) // in another order
	}
	r.add("x", pooledName, 9, sample{perSecond: 1}) // no partner
	got := fmt.Sprint(r.ratios("x", pooledName, plainName, perSecond))
	if got != "[0.016666666666666666 0.4 0.6]" {
		t.Error(got)
	}
}

func TestARealRunMeasuresEverySubjectOnEveryRow(t *testing.T) {
	dir := t.TempDir()
	r := newReport("tiny", plan{rounds: 2, block: 2, window: 3 * time.Millisecond, warm: time.Millisecond, rare: 2}, 7)
	r.Rows = matching(rows(), "16 g")
	if err := r.onServers(t.Context(), t.Output()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.write(dir, "json", &out); err != nil {
		t.Fatal(err)
	}
	for _, w := range r.Rows {
		for _, name := range []string{plainName, againName, guardedName, pooledName} {
			s := r.of(w.Name, name)
			if s == nil || len(s.Round) != 2 || s.PerSecond[1] <= 0 || s.CPU[1] <= 0 || s.P99[1] < s.P50[1] {
				t.Errorf("%s, %s: %+v", w.Name, name, s)
			}
		}
		if s := r.of(w.Name, pgxpoolName); (s != nil) != (w.kind == server.PostgreSQL && w.Prepared) {
			t.Errorf("%s: OpenDBFromPool has %+v", w.Name, s)
		}
	}
	var read report
	if err := json.Unmarshal(out.Bytes(), &read); err != nil || read.Seed != 7 || len(read.Servers) != 2 || len(read.Series) != 21 {
		t.Errorf("the JSON says seed %d, servers %v, %d series, %v", read.Seed, read.Servers, len(read.Series), err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "tiny.md")); err != nil || !strings.Contains(string(b), "order from seed 7") {
		t.Errorf("%s, %v", b, err)
	}
}

func TestAnAnswerThatIsWrongOrMissingEndsTheRun(t *testing.T) {
	s := server.Start(t, server.MariaDB, server.Options{})
	if _, err := fill(t.Context(), s.Kind, s.DSN()); err != nil {
		t.Fatal(err)
	}
	list, err := subjects(t.Context(), s.Kind, s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closeAll(list) }()
	for _, way := range []string{"UPDATE item SET v = 'something else'", "DELETE FROM item"} {
		if _, err := list[0].db.ExecContext(t.Context(), way); err != nil {
			t.Fatal(err)
		}
		for _, one := range list {
			if _, err := one.measure(t.Context(), rows()[0], time.Millisecond); err == nil {
				t.Errorf("after %q %s goes on", way, one.name)
			}
		}
	}
}

func TestOrderIsTheSeedsAndNothingElse(t *testing.T) {
	a, b := newReport("x", full, 5), newReport("x", full, 5)
	if x, y := fmt.Sprint(a.dice.Perm(40)), fmt.Sprint(b.dice.Perm(40)); x != y {
		t.Errorf("%s\n%s", x, y)
	}
}

func TestFullRunHasTwoHundredPairsAndFitsIntoTwelveMinutes(t *testing.T) {
	for _, c := range []struct {
		plan
		least int
		most  time.Duration
	}{{full, 200, 12 * time.Minute}, {quick, 20, 2 * time.Minute}} {
		if c.rounds < c.least || c.rounds%c.block != 0 || c.block%c.rare != 0 && c.rare%c.block != 0 && c.rounds/c.rare < 5 {
			t.Errorf("%+v", c.plan)
		}
		var took time.Duration
		for _, w := range rows() {
			windows := 4 * c.rounds
			if w.kind == server.PostgreSQL && w.Prepared {
				windows += c.rounds / c.rare
			}
			took += time.Duration(windows)*(c.window+3*time.Millisecond) + time.Duration(c.rounds/c.block)*5*c.warm // 3 ms for what lies between two
		}
		if took > c.most-15*time.Second { // start and end
			t.Errorf("%+v takes %v", c.plan, took)
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
		{[]string{"--profile", filepath.Join(t.TempDir(), "no", "such")}, 1, "write the profile"},
		{[]string{"--help"}, 0, "go run ./bench/sql --quick"},
	} {
		var out, log bytes.Buffer
		if code := command(t.Context(), c.args, &out, &log); code != c.code || !strings.Contains(log.String(), c.says) {
			t.Errorf("%v: exit code %d, said %q", c.args, code, log.String())
		}
	}
}

func TestEveryRowHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range rows() {
		if seen[w.Name] {
			t.Errorf("two rows are called %q", w.Name)
		}
		seen[w.Name] = true
	}
	if len(seen) != 8 {
		t.Errorf("%d rows; want two servers, 16 and 64 goroutines, simple and prepared", len(seen))
	}
}
