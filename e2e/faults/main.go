//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"herz.example/herz/faultlab/server"
)

// errUsage marks errors of the command line, errBars a run that found something.
var (
	errUsage = errors.New("wrong usage")
	errBars  = errors.New("bars were missed, or faults could not be tried")
)

const usage = `faults tries every client under every fault, without Herz and with it, and writes docs/fault-matrix.md and .json.

  go run ./e2e/faults                                 the whole matrix (docs/fault-matrix.md), as root
  go run ./e2e/faults --only half-open/MariaDB        one fault on one product, nothing written
  go run ./e2e/faults --only full --out docs          tried again, and put into the matrix that is there

Exit codes: 0 every bar reached, 1 a bar missed or a fault not tried, 2 wrong usage.

`

func main() {
	if err := hush(); err != nil {
		fmt.Fprintln(os.Stderr, "herz/faults:", err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// hush keeps drivers and Herz from logging: the faults are ours, and no news.
func hush() error {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	redis.SetLogger(silence{})
	return mysql.SetLogger(&mysql.NopLogger{})
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func command(ctx context.Context, args []string, out, log io.Writer) int {
	err := faultsOf(ctx, args, out, log)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(log, "herz/faults:", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

type options struct {
	only       []string
	list       bool
	form, dir  string
	sideBySide int
}

func parse(args []string, log io.Writer) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Usage = func() { _, _ = io.WriteString(log, usage); flags.PrintDefaults() }
	flags.StringVar(&only, "only", "", "only cells whose name (fault/server/driver/mode, see --list) contains this, or one of several between commas")
	flags.BoolVar(&o.list, "list", false, "name the cells and the bars, and try nothing")
	flags.StringVar(&o.form, "o", "text", "what is printed: text or json")
	flags.StringVar(&o.dir, "out", "docs", "folder of fault-matrix.md and .json; empty: none are written. With --only it has no default, "+
		"and the cells are put into the matrix there")
	flags.IntVar(&o.sideBySide, "side-by-side", 2, "how many faults are tried at once")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if only != "" {
		o.only = strings.Split(only, ",")
		if !given["out"] {
			o.dir = ""
		}
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%w: %q is no flag; see --help", errUsage, flags.Arg(0))
	case o.form != "text" && o.form != "json":
		return o, fmt.Errorf("%w: output %q is unknown: use -o text or -o json", errUsage, o.form)
	case o.sideBySide < 1:
		return o, fmt.Errorf("%w: --side-by-side is %d; use 1 or more", errUsage, o.sideBySide)
	}
	return o, nil
}

func faultsOf(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	jobs := choose(o.only)
	if len(jobs) == 0 {
		return fmt.Errorf("%w: no cell has %q in its name: see --list", errUsage, strings.Join(o.only, ","))
	}
	if o.list {
		return list(jobs, o.form, out)
	}
	versions := libraryVersions()
	if err := serverVersions(versions); err != nil {
		return err
	}
	cells := run(ctx, jobs, o.sideBySide, log)
	if err := server.CleanUp(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted: nothing was written")
	}
	tried := newReport(thisMachine(), versions, cells)
	if err := tried.print(o.form, out); err != nil {
		return err
	}
	if o.dir != "" {
		if err := tried.keep(o); err != nil {
			return err
		}
	}
	if tried.Missed+tried.Failed > 0 {
		return fmt.Errorf("%w: %d of %d bars missed, %d cells not tried", errBars, tried.Missed, tried.Checks, tried.Failed)
	}
	return nil
}

// list names what would be tried.
func list(jobs []job, form string, out io.Writer) error {
	if form == "json" {
		r := newReport(machine{}, nil, nil)
		return json.NewEncoder(out).Encode(r.Faults)
	}
	for _, j := range jobs {
		for _, c := range j.cells() {
			fmt.Fprintf(out, "%-48s %s [%s]\n", c.name(), j.title, j.bars.text())
		}
	}
	return nil
}

// print says what came out.
func (r *report) print(form string, out io.Writer) error {
	if form == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	for i := range r.Cells {
		fmt.Fprintf(out, "%-48s %s\n", r.Cells[i].name(), r.Cells[i].text())
	}
	_, err := fmt.Fprintln(out, strings.ReplaceAll(r.verdict(), "*", ""))
	return err
}

// keep writes the matrix, or puts cells that were tried again into the one that is there.
func (r *report) keep(o options) error {
	if len(o.only) == 0 {
		return r.write(o.dir)
	}
	all, err := merge(o.dir, r.Cells)
	if err != nil {
		return err
	}
	whole := newReport(r.Machine, r.Versions, all)
	return whole.write(o.dir)
}
