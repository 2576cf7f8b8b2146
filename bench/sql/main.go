package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"herz.example/herz/bench/record"
)

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
	return record.ExitCode("bench/sql", run(ctx, args, out, log), log)
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	o := record.NewLine("sql", usage, log)
	short := o.Bool("quick", false, "fewer rounds, in less than two minutes; too few for more than a look")
	only := o.String("only", "", "only the rows whose name contains this")
	profileTo := o.String("profile", "", "write a processor profile into this file; its samples have the labels subject and row")
	seed := o.Uint64("seed", 0, "of the order of all windows; 0: one of chance, which is printed")
	if err := o.Parse(args); err != nil {
		return err
	}
	list := matching(rows(), *only)
	if len(list) == 0 {
		return fmt.Errorf("%w: no row's name contains %q; names look like %q", record.ErrUsage, *only, rows()[0].Name)
	}
	for *seed == 0 {
		*seed = rand.Uint64() //nolint:gosec // an order, and no secret
	}
	name, p := "sql", full
	if *short {
		name, p = "sql-quick", quick
	}
	r := newReport(name, p, *seed)
	r.Rows = list
	if *profileTo != "" {
		end, err := profile(*profileTo)
		if err != nil {
			return err
		}
		defer end()
	}
	if err := r.onServers(ctx, log); err != nil {
		return err
	}
	if err := r.write(o.Dir, o.Form, out); err != nil {
		return err
	}
	return o.Judge(r.Verdict)
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
