package story

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// errUsage marks errors of the command line.
var errUsage = errors.New("wrong usage")

// Main is the main function of an example.
func Main(name string, open Opener) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := Command(ctx, name, os.Args[1:], open, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Command runs an example and returns its exit code. What each step saw goes to out, everything else to log. With -wait a line is read from in
// before each step but the first.
func Command(ctx context.Context, name string, args []string, open Opener, in io.Reader, out, log io.Writer) int {
	err := run(ctx, name, args, open, in, out, log)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	_, _ = fmt.Fprintf(log, "herz/examples/%s: %v\n", name, err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

type options struct {
	dsn, driver, mode string
	wait              bool
}

var drivers = []string{"mysql", "pgx"}

func parse(name string, args []string, log io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Usage = func() {
		_, _ = fmt.Fprintf(log, "%[1]s tells the examples' story through %[1]s, on a table of its own.\n\n"+
			"  go run ./examples/%[1]s -driver pgx -dsn 'postgres://user:secret@127.0.0.1/shop' -mode pooled\n\n"+
			"Exit codes: 0 all was right, 1 something was not, 2 wrong usage.\n\n", name)
		flags.PrintDefaults()
	}
	flags.StringVar(&o.dsn, "dsn", "", "data source name for the driver (required)")
	flags.StringVar(&o.driver, "driver", "", "mysql for MySQL and MariaDB, pgx for PostgreSQL (required)")
	flags.StringVar(&o.mode, "mode", "guarded", "how the database is opened: plain, guarded or pooled")
	flags.BoolVar(&o.wait, "wait", false, "wait for Enter before each step but the first, so that something can be broken meanwhile")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%w: %q is no flag; see -help", errUsage, flags.Arg(0))
	case o.dsn == "":
		return o, fmt.Errorf("%w: say which database by -dsn; see -help", errUsage)
	case !slices.Contains(drivers, o.driver):
		return o, fmt.Errorf("%w: driver %q is unknown; known are %q", errUsage, o.driver, drivers)
	case !slices.Contains(Modes, o.mode):
		return o, fmt.Errorf("%w: mode %q is unknown; known are %q", errUsage, o.mode, Modes)
	}
	return o, nil
}

func run(ctx context.Context, name string, args []string, open Opener, in io.Reader, out, log io.Writer) (err error) {
	o, err := parse(name, args, log)
	if err != nil {
		return err
	}
	db, err := Open(o.mode, o.driver, o.dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	lib, err := open(db, o.driver)
	if err != nil {
		return fmt.Errorf("put %s over the database: %w", name, err)
	}
	before := func(string) error { return ctx.Err() }
	if o.wait {
		before = waitForEnter(ctx, in, log)
	}
	return tell(ctx, lib, before, out)
}

// waitForEnter reads a line before each step but the first.
func waitForEnter(ctx context.Context, in io.Reader, log io.Writer) func(step string) error {
	lines := bufio.NewReader(in)
	return func(step string) error {
		if step != Steps[0] {
			_, _ = fmt.Fprintf(log, "press Enter for step %q ", step)
			if _, err := lines.ReadString('\n'); err != nil {
				return fmt.Errorf("wait for Enter: %w", err)
			}
		}
		return ctx.Err()
	}
}
