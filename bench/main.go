package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// errUsage marks errors of the command line.
var errUsage = errors.New("wrong usage")

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
	err := run(ctx, args, out, log)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err == nil:
		return 0
	}
	_, _ = fmt.Fprintln(log, "herz/bench:", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

type options struct {
	quick, strict, needHikari bool
	dir, only, form           string
}

func parse(args []string, log io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Usage = func() { _, _ = io.WriteString(log, usage); flags.PrintDefaults() }
	flags.BoolVar(&o.quick, "quick", false, "only the rows that have a target, in less than three minutes")
	flags.BoolVar(&o.strict, "strict", false, "exit with 1 when a target is missed")
	flags.BoolVar(&o.needHikari, "require-hikari", false, "fail when HikariCP can't be run, instead of leaving it out")
	flags.StringVar(&o.dir, "out", "bench/results", "folder of the results; empty: none are written")
	flags.StringVar(&o.only, "only", "", "only the rows whose name contains this")
	flags.StringVar(&o.form, "o", "text", "what is printed: text or json")
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
	return o, nil
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	list := matching(rows(o.quick), o.only)
	if len(list) == 0 {
		return fmt.Errorf("%w: no row's name contains %q; names look like %q", errUsage, o.only, rows(true)[0].Name)
	}
	r := newReport(o.quick)
	all := subjects()
	h, err := startHikari(ctx, log)
	if err != nil {
		if o.needHikari {
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
	if err := r.write(o.dir, o.form, out); err != nil {
		return err
	}
	if o.strict && r.missed() {
		return errors.New("a target was missed, or had no valid window: see the verdict")
	}
	return nil
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
