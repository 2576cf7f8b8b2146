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

const usage = `ws measures a WebSocket server whose connections all rest: memory of each, processor time of a heartbeat (docs/bench.md).

  go run ./bench/ws
  go run ./bench/ws --rounds 1 -o json --out ""

Exit codes: 0 measured, 1 failed (with --strict also: a target was missed), 2 wrong usage.

`

func main() {
	if name := os.Getenv(serveEnv); name != "" { // the server's process, started by this one
		os.Exit(record.ExitCode("bench/ws", serveAs(name, os.Stdin, os.Stdout), os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func command(ctx context.Context, args []string, out, log io.Writer) int {
	return record.ExitCode("bench/ws", run(ctx, args, out, log), log)
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	o := record.NewLine("ws", usage, log)
	r := &report{Machine: record.Here()}
	o.IntVar(&r.Connections, "connections", 9_500, "how many rest, at least 100; twice as many descriptors are needed, half in each of two processes")
	o.IntVar(&r.Rounds, "rounds", 3, "repetitions of each row, at least 1")
	o.DurationVar(&r.Window, "window", 10*time.Second, "length of one measurement, at least 1s; every connection is pinged each two seconds")
	if err := o.Parse(args); err != nil {
		return err
	}
	if r.Connections < 100 || r.Rounds < 1 || r.Window < time.Second {
		return fmt.Errorf("%w: --connections %d, --rounds %d, --window %v: at least 100, 1 and 1s", record.ErrUsage, r.Connections, r.Rounds, r.Window)
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
	Bytes      []float64 `json:"rss_bytes_per_connection"`           // after the heap's free pages were given back
	Loose      []float64 `json:"rss_bytes_per_connection_as_it_ran"` // before that
	Micros     []float64 `json:"cpu_us_per_heartbeat"`
	Yard       []float64 `json:"cpu_us_per_write_and_read"` // of any socket, just before: see yardstick
	Beats      []float64 `json:"heartbeats"`
	Goroutines []float64 `json:"goroutines"`
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
			yard, err := yardstick()
			if err != nil {
				return err
			}
			got, err := list[i].measure(ctx, r.Connections, r.Window)
			if err != nil {
				return fmt.Errorf("%s: %w", list[i].name, err)
			}
			s, n := r.Series[i], float64(r.Connections)
			s.Bytes = append(s.Bytes, float64(got.RSS-got.Base)/n)
			s.Loose = append(s.Loose, float64(got.Loose-got.Base)/n)
			s.Micros = append(s.Micros, float64(got.CPU.Nanoseconds())/1e3/float64(got.Beats))
			s.Yard = append(s.Yard, float64(yard.Nanoseconds())/1e3)
			s.Beats = append(s.Beats, float64(got.Beats))
			s.Goroutines = append(s.Goroutines, float64(got.Goroutines))
			p.Step()
		}
	}
	r.Took = time.Since(p.Began()).Round(time.Second).String()
	for i, s := range r.Series {
		r.Verdict = append(r.Verdict,
			record.Finding{What: s.Subject + ": KiB a connection", Must: list[i].most}.Settle(record.Median(s.Bytes)/1024, r.Rounds),
			record.Finding{What: s.Subject + ": µs of processor a heartbeat", Must: 20}.Settle(record.Median(s.Micros), r.Rounds))
	}
	return nil
}

func (r *report) write(dir, form string, out io.Writer) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	return record.Results{Name: "ws", JSON: raw, Table: r.table()}.Put(dir, form, out)
}

func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What %d idle WebSockets cost a server\n\n%s\n\n%d rounds, windows of %v, in random order within a round.\n\n", r.Connections, &r.Machine,
		r.Rounds, r.Window)
	record.Targets(&b, r.Verdict, "rounds")
	b.WriteString("\n## All rows\n\n" +
		"| server | KiB a connection | the same, free pages not given back | µs a heartbeat | µs a write and a read | heartbeats | goroutines |\n" +
		"|---|--:|--:|--:|--:|--:|--:|\n")
	for _, s := range r.Series {
		fmt.Fprintf(&b, "| %s | %.2f | %.2f | %.1f | %.1f | %.0f | %.0f |\n", s.Subject, record.Median(s.Bytes)/1024, record.Median(s.Loose)/1024,
			record.Median(s.Micros), record.Median(s.Yard), record.Median(s.Beats), record.Median(s.Goroutines))
	}
	return b.String()
}
