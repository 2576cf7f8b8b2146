package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"herz.example/herz/bench/record"
)

const usage = `bench measures Herz's pool beside other pools in one interleaved, randomised run (docs/bench.md).

  go run ./bench --quick
  go run ./bench --only "16 g, pool 8" -o json

Exit codes: 0 measured, 1 failed (with --strict also: a target was missed), 2 wrong usage.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func command(ctx context.Context, args []string, out, log io.Writer) int {
	return record.ExitCode("bench", run(ctx, args, out, log), log)
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	o := record.NewLine("bench", usage, log)
	quick := o.Bool("quick", false, "only the rows that have a target, in less than three minutes")
	needHikari := o.Bool("require-hikari", false, "fail when HikariCP can't be run, instead of leaving it out")
	only := o.String("only", "", "only the rows whose name contains this")
	if err := o.Parse(args); err != nil {
		return err
	}
	list := matching(rows(*quick), *only)
	if len(list) == 0 {
		return fmt.Errorf("%w: no row's name contains %q; names look like %q", record.ErrUsage, *only, rows(true)[0].Name)
	}
	r := newReport(*quick)
	all := subjects()
	h, err := startHikari(ctx, log)
	if err != nil {
		if *needHikari {
			return err
		}
		r.LeftOut = append(r.LeftOut, fmt.Sprintf("HikariCP: %v", err))
	} else {
		defer h.stop()
		all = append(all, subject{name: hikariName, measure: h.measure})
		r.Versions["com.zaxxer:HikariCP"], r.Versions["java"] = h.version, h.java
	}
	if err := r.collect(ctx, all, list, log); err != nil {
		return err
	}
	if err := r.write(o.Dir, o.Form, out); err != nil {
		return err
	}
	return o.Judge(r.Verdict)
}

func matching(list []work, part string) []work {
	var kept []work
	for _, w := range list {
		if strings.Contains(w.Name, part) {
			kept = append(kept, w)
		}
	}
	return kept
}
