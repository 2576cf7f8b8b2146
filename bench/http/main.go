package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"herz.example/herz/bench/record"
)

const usage = `http measures herzhttp beside net/http and other HTTP clients on loopback, in one interleaved, randomised run (docs/bench.md): what a request
costs, what is lost when the server closes idle connections, and how soon a silent HTTP/2 connection is left.

  go run ./bench/http --quick
  go run ./bench/http -o json --out ""

Exit codes: 0 measured, 1 failed (with --strict also: a target was missed), 2 wrong usage.

`

func main() {
	if len(os.Args) == 2 && os.Args[1] == serveWord {
		if err := serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench/http: serve:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func command(ctx context.Context, args []string, out, log io.Writer) int {
	return record.ExitCode("bench/http", run(ctx, args, out, log), log)
}

// plan is how much is measured.
type plan struct {
	Rounds   int           `json:"rounds"`
	Window   time.Duration `json:"window_ns"`
	Posts    int           `json:"posts"`    // of each client to a server that closes idle connections
	Villains int           `json:"villains"` // requests of each client to each server that executes and breaks
	Holes    int           `json:"holes"`    // silences for each client
	Waves    int           `json:"waves"`    // bursts beyond the stream limit, for each client
}

var (
	full  = plan{Rounds: 201, Window: 40 * time.Millisecond, Posts: 20_000, Villains: 1500, Holes: 3, Waves: 21}
	quick = plan{Rounds: 31, Window: 20 * time.Millisecond, Posts: 2000, Villains: 100, Holes: 1, Waves: 5}
	tiny  = plan{Rounds: 5, Window: 5 * time.Millisecond, Posts: 100, Villains: 10, Holes: 1, Waves: 5}
)

func run(ctx context.Context, args []string, out, log io.Writer) error {
	o := record.NewLine("http", usage, log)
	short := o.Bool("quick", false, "less of everything, in a minute; too little for more than a look")
	trial := o.Bool("trial", false, "almost nothing, for tests of the bench itself")
	if err := o.Parse(args); err != nil {
		return err
	}
	r := &report{Machine: record.Here(), Name: "http", Plan: full}
	if *short {
		r.Name, r.Plan = "http-quick", quick
	}
	if *trial {
		r.Name, r.Plan = "http-trial", tiny
	}
	if err := r.collect(ctx, log); err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	if err := (record.Results{Name: r.Name, JSON: raw, Table: r.table()}).Put(o.Dir, o.Form, out); err != nil {
		return err
	}
	return o.Judge(r.Verdict)
}

// report is everything a run found out, and where.
type report struct {
	record.Machine
	Name    string           `json:"name"`
	Plan    plan             `json:"plan"`
	Verdict []record.Finding `json:"verdict"`
	Costs   []*costs         `json:"costs"`
	Losses  []*losses        `json:"losses"`
	Crimes  []*losses        `json:"crimes"`
	Holes   []*holes         `json:"holes"`
	Waves   []*waves         `json:"waves"`
}

// collect measures everything, one part after the other, each interleaved within itself.
func (r *report) collect(ctx context.Context, log io.Writer) error {
	began := time.Now()
	for _, part := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"what a request costs", r.measureCosts},
		{"a server that closes idle connections", r.measureLosses},
		{"servers that execute and break", r.measureCrimes},
		{"silent HTTP/2 connections", r.measureHoles},
		{"more requests than streams", r.measureWaves},
	} {
		_, _ = fmt.Fprintf(log, "%s\n", part.name)
		if err := part.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	r.Took = time.Since(began).Round(time.Second).String()
	return nil
}

func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# herzhttp beside other clients\n\n%s\n\n", &r.Machine)
	record.Targets(&b, r.Verdict, "windows")
	r.writeCosts(&b)
	writeLosses(&b, "A server that closes connections after 5 ms of rest, a POST every 3.5 to 6 ms from each of twelve callers", r.Losses)
	writeLosses(&b, "Servers that execute the second request of a connection and break the connection, one caller", r.Crimes)
	r.writeHoles(&b)
	r.writeWaves(&b)
	return b.String()
}
