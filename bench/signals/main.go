package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"herz.example/herz/bench/record"
)

const usage = `signals measures what observers of a pool cost a loan and its return, in one interleaved, randomised run (docs/bench.md).

  go run ./bench/signals
  go run ./bench/signals -o json --out ""

Exit codes: 0 measured, 1 failed (with --strict also: a target was missed), 2 wrong usage.

`

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

func command(args []string, out, log io.Writer) int {
	return record.ExitCode("bench/signals", run(args, out, log), log)
}

func run(args []string, out, log io.Writer) error {
	o := record.NewLine("signals", usage, log)
	rounds := o.Int("rounds", 201, "repetitions of each row, at least 5")
	window := o.Duration("window", 10*time.Millisecond, "length of one measurement, at least a millisecond")
	if err := o.Parse(args); err != nil {
		return err
	}
	if *rounds < 5 || *window < time.Millisecond {
		return fmt.Errorf("%w: --rounds %d and --window %v: at least 5, and 1ms", record.ErrUsage, *rounds, *window)
	}
	r := &report{Machine: record.Here(), Rounds: *rounds, Window: *window}
	if err := r.collect(context.Background(), log); err != nil {
		return err
	}
	if err := r.write(o.Dir, o.Form, out); err != nil {
		return err
	}
	return o.Judge(r.Verdict)
}

// report is everything a run found out, and where.
type report struct {
	record.Machine
	Rounds  int              `json:"rounds"`
	Window  time.Duration    `json:"window_ns"`
	Verdict []record.Finding `json:"verdict"`
	Series  []*series        `json:"series"`
}

// series is what the windows of one subject showed, one for each round.
type series struct {
	Goroutines int       `json:"goroutines"`
	Subject    string    `json:"subject"`
	NsPerPair  []float64 `json:"ns_per_pair"` // processor time, so that goroutines side by side count each for itself
	Allocs     []float64 `json:"allocs_per_pair"`
	CPUWall    []float64 `json:"cpu_wall"`
}

func (r *report) collect(ctx context.Context, log io.Writer) error {
	list, end, err := subjects()
	if err != nil {
		return err
	}
	defer end()
	rows := []int{1, 16}
	p := &record.Progress{Log: log, Total: r.Rounds * len(rows), Every: 10}
	p.Start()
	byRow := map[int]map[string]*series{}
	for _, g := range rows {
		byRow[g] = map[string]*series{}
		for _, s := range list {
			one := &series{Goroutines: g, Subject: s.name}
			byRow[g][s.name] = one
			r.Series = append(r.Series, one)
		}
	}
	for range r.Rounds {
		for _, g := range rows {
			for _, i := range rand.Perm(len(list)) { //nolint:gosec // an order, and no secret
				got, err := list[i].measure(ctx, g, r.Window)
				if err != nil {
					return fmt.Errorf("%s: %w", list[i].name, err)
				}
				one := byRow[g][list[i].name]
				one.NsPerPair = append(one.NsPerPair, got.ns)
				one.Allocs = append(one.Allocs, got.allocs)
				one.CPUWall = append(one.CPUWall, got.cpuWall)
			}
			p.Step()
		}
	}
	r.Took = time.Since(p.Began()).Round(time.Second).String()
	r.judge(byRow[1])
	return nil
}

// judge holds the row of one goroutine against the targets: with several, what one pays depends on how many are at it.
func (r *report) judge(row map[string]*series) {
	for _, c := range []struct {
		subject string
		must    float64
	}{{promName, 300}, {otelName, 800}} {
		extra := make([]float64, r.Rounds)
		for i := range extra {
			extra[i] = row[c.subject].NsPerPair[i] - row[noneName].NsPerPair[i]
		}
		r.Verdict = append(r.Verdict,
			record.Finding{What: c.subject + ": ns more than no observer", Must: c.must}.Settle(record.Median(extra), r.Rounds),
			record.Finding{What: c.subject + ": allocations a pair", Must: mostAllocs}.Settle(record.Median(row[c.subject].Allocs), r.Rounds))
	}
}

// mostAllocs allows for one sampled lease in 1,024, whose holder is kept, with and without an observer.
const mostAllocs = 0.005

func (r *report) write(dir, form string, out io.Writer) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	return record.Results{Name: "signals", JSON: raw, Table: r.table()}.Put(dir, form, out)
}

func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What observers cost a loan\n\n%s\n\n%d rounds, windows of %v, in random order within a round. A pair is a loan and its return.\n\n",
		&r.Machine, r.Rounds, r.Window)
	record.Targets(&b, r.Verdict, "rounds")
	b.WriteString("\n## All rows\n\n| goroutines | observer | ns of processor time a pair, median | 5 % bounds | more than none | allocations | CPU/wall |\n")
	b.WriteString("|--:|---|--:|---|--:|--:|--:|\n")
	none := map[int]float64{}
	for _, s := range r.Series {
		if s.Subject == noneName {
			none[s.Goroutines] = record.Median(s.NsPerPair)
		}
	}
	for _, s := range r.Series {
		low, high, _ := record.Bounds(s.NsPerPair)
		at := record.Median(s.NsPerPair)
		fmt.Fprintf(&b, "| %d | %s | %.1f | %.1f – %.1f | %+.1f | %.3f | %.2f |\n",
			s.Goroutines, s.Subject, at, low, high, at-none[s.Goroutines], record.Median(s.Allocs), record.Median(s.CPUWall))
	}
	return b.String()
}
