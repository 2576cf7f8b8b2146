package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// errUsage marks errors of the command line.
var errUsage = errors.New("wrong usage")

const usage = `sql measures plain, guarded and pooled *sql.DB on private MariaDB and PostgreSQL servers, in one interleaved, randomised run (docs/bench.md).

  go run ./bench/sql --quick
  go run ./bench/sql --only "PostgreSQL, 16 g" -o json

Exit codes: 0 measured, 1 failed (with --strict also: a target was missed), 2 wrong usage.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func command(ctx context.Context, args []string, out, log io.Writer) int {
	err := run(ctx, args, out, log)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	_, _ = fmt.Fprintln(log, "herz/bench/sql:", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

type options struct {
	quick, strict            bool
	dir, only, form, profile string
	seed                     uint64
}

func parse(args []string, log io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("sql", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Usage = func() { _, _ = io.WriteString(log, usage); flags.PrintDefaults() }
	flags.BoolVar(&o.quick, "quick", false, "fewer rounds, in less than two minutes; too few for more than a look")
	flags.BoolVar(&o.strict, "strict", false, "exit with 1 when a target is missed")
	flags.StringVar(&o.dir, "out", "bench/results", "folder of the results; empty: none are written")
	flags.StringVar(&o.only, "only", "", "only the rows whose name contains this")
	flags.StringVar(&o.form, "o", "text", "what is printed: text or json")
	flags.StringVar(&o.profile, "profile", "", "write a processor profile into this file; its samples have the labels subject and row")
	flags.Uint64Var(&o.seed, "seed", 0, "of the order of all windows; 0: one of chance, which is printed")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%w: %q is no flag; see --help", errUsage, flags.Arg(0))
	}
	if o.form != "text" && o.form != "json" {
		return o, fmt.Errorf("%w: output %q is unknown: use -o text or -o json", errUsage, o.form)
	}
	if len(matching(rows(), o.only)) == 0 {
		return o, fmt.Errorf("%w: no row's name contains %q; names look like %q", errUsage, o.only, rows()[0].Name)
	}
	for o.seed == 0 {
		o.seed = rand.Uint64() //nolint:gosec // an order, and no secret
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	name, p := "sql", full
	if o.quick {
		name, p = "sql-quick", quick
	}
	r := newReport(name, p, o.seed)
	r.Rows = matching(rows(), o.only)
	if o.profile != "" {
		end, err := profile(o.profile)
		if err != nil {
			return err
		}
		defer end()
	}
	if err := r.onServers(ctx, log); err != nil {
		return err
	}
	if err := r.write(o.dir, o.form, out); err != nil {
		return err
	}
	if o.strict && r.missed() {
		return errMissed
	}
	return nil
}

func profile(path string) (end func(), err error) {
	f, err := os.Create(path) //nolint:gosec // the user names it
	if err != nil {
		return nil, fmt.Errorf("write the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("write the profile: %w", err), f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // a profile that was cut is told by who reads it
	}, nil
}
