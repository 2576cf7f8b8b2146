package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"herz.example/herz/bench/record"
)

const usage = `idle measures what a pool costs whose connections all rest: share of a core, bytes and goroutines (docs/bench.md).

  go run ./bench/idle
  go run ./bench/idle --rounds 1 -o json --out ""

Exit codes: 0 measured, 1 failed (with --strict also: a target was missed), 2 wrong usage.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func command(ctx context.Context, args []string, out, log io.Writer) int {
	return record.ExitCode("bench/idle", run(ctx, args, out, log), log)
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	o := record.NewLine("idle", usage, log)
	r := &report{Machine: record.Here()}
	o.IntVar(&r.Connections, "connections", 10_000, "how many rest, at least 100")
	o.IntVar(&r.Rounds, "rounds", 5, "repetitions of each row, at least 1")
	o.DurationVar(&r.Window, "window", 30*time.Second, "length of one measurement, at least 100ms; heartbeats come once in 30 s")
	if err := o.Parse(args); err != nil {
		return err
	}
	if r.Connections < 100 || r.Rounds < 1 || r.Window < 100*time.Millisecond {
		return fmt.Errorf("%w: --connections %d, --rounds %d, --window %v: at least 100, 1 and 100ms", record.ErrUsage, r.Connections, r.Rounds, r.Window)
	}
	if err := r.collect(ctx, log); err != nil {
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
	Connections int              `json:"connections"`
	Rounds      int              `json:"rounds"`
	Window      time.Duration    `json:"window_ns"`
	Verdict     []record.Finding `json:"verdict"`
	Series      []*series        `json:"series"`
}

// series is what the windows of one subject showed, one for each round.
type series struct {
	Subject    string    `json:"subject"`
	Percent    []float64 `json:"percent_of_a_core"`
	Bytes      []float64 `json:"bytes_per_connection"`
	Goroutines []float64 `json:"goroutines"`
	Beats      []float64 `json:"heartbeats_per_second"`
}

func (r *report) collect(ctx context.Context, log io.Writer) error {
	list := subjects()
	for _, s := range list {
		r.Series = append(r.Series, &series{Subject: s.name})
	}
	p := &record.Progress{Log: log, Total: r.Rounds * len(list), Every: 1}
	p.Start()
	for range r.Rounds {
		for _, i := range rand.Perm(len(list)) { //nolint:gosec // an order, and no secret
			got, err := list[i].measure(ctx, r.Connections, r.Window)
			if err != nil {
				return fmt.Errorf("%s: %w", list[i].name, err)
			}
			s := r.Series[i]
			s.Percent = append(s.Percent, got.percent)
			s.Bytes = append(s.Bytes, got.bytes)
			s.Goroutines = append(s.Goroutines, got.goroutines)
			s.Beats = append(s.Beats, got.beats)
			p.Step()
		}
	}
	r.Took = time.Since(p.Began()).Round(time.Second).String()
	r.judge()
	return nil
}

// judge holds every pool against the targets: none is the noise of this process, and has none.
func (r *report) judge() {
	for _, s := range r.Series {
		if s.Subject == noneName {
			continue
		}
		targets := []struct {
			what string
			must float64
			got  []float64
		}{{"% of a core", 1, s.Percent}, {"bytes a connection", 1024, s.Bytes}, {"goroutines", 1, s.Goroutines}}
		if s.Subject == boardName {
			targets = targets[:1] // the others are those of a server and its client, too
		}
		for _, f := range targets {
			r.Verdict = append(r.Verdict, record.Finding{What: s.Subject + ": " + f.what, Must: f.must}.Settle(record.Median(f.got), r.Rounds))
		}
	}
}

func (r *report) write(dir, form string, out io.Writer) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	return record.Results{Name: "idle", JSON: raw, Table: r.table()}.Put(dir, form, out)
}

func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What %d idle connections cost\n\n%s\n\n%d rounds, windows of %v, in random order within a round.\n\n", r.Connections, &r.Machine,
		r.Rounds, r.Window)
	record.Targets(&b, r.Verdict, "rounds")
	b.WriteString("\n## All rows\n\n| pool | heartbeats/s | % of a core, median | most | bytes a connection | goroutines |\n|---|--:|--:|--:|--:|--:|\n")
	for _, s := range r.Series {
		fmt.Fprintf(&b, "| %s | %.0f | %.3f | %.3f | %.0f | %.0f |\n", s.Subject, record.Median(s.Beats), record.Median(s.Percent),
			record.Quantile(s.Percent, 1), record.Median(s.Bytes), record.Median(s.Goroutines))
	}
	return b.String()
}
