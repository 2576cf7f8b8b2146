//go:build linux

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
	"time"
)

// errUsage marks errors of the command line, errCases a run in which not all cases were passed.
var (
	errUsage = errors.New("wrong usage")
	errCases = errors.New("not all cases were passed")
)

const usage = `autobahn holds herzws against the Autobahn test suite: the server in both engines, and the client (docs/websocket.md).

  make autobahn                                           fetch the suite, run all that concerns herzws
  go run ./autobahn --suite FOLDER --cases '6.*,7.*'      two sections; FOLDER is what tools/autobahn.sh was given

Exit codes: 0 all cases passed, 1 one was not, or the suite did not run, 2 wrong usage.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func command(ctx context.Context, args []string, out, log io.Writer) int {
	err := run(ctx, args, out, log)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(log, "herz/autobahn:", err)
		return 2
	default:
		fmt.Fprintln(log, "herz/autobahn:", err)
		return 1
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	set := flag.NewFlagSet("autobahn", flag.ContinueOnError)
	set.SetOutput(log)
	set.Usage = func() { fmt.Fprint(log, usage); set.PrintDefaults() }
	folder := set.String("suite", "", "the folder that tools/autobahn.sh fetched the suite into; needed")
	cases := set.String("cases", "1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.*,10.*", "the cases that are run, by the suite's patterns")
	reports := set.String("reports", "", "a folder for the suite's own reports, in HTML; empty: they are not kept")
	limit := set.Duration("within", 30*time.Minute, "when the run is given up")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if *folder == "" || *cases == "" || set.NArg() > 0 || *limit <= 0 {
		return fmt.Errorf("%w: --suite and --cases are needed, --within is more than 0, and there are no other arguments", errUsage)
	}
	s, err := newSuite(*folder, *reports, strings.Split(*cases, ","))
	if err != nil {
		return err
	}
	defer s.tidy()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	began := time.Now()
	fmt.Fprintln(log, "the suite is the server, and herzws the client")
	client, err := s.client(ctx, log) // first: as a client the suite waits for ever when there is no such case
	if err != nil {
		return fmt.Errorf("the client: %w", err)
	}
	fmt.Fprintln(log, "the suite is the client of both engines")
	servers, err := s.servers(ctx, log)
	if err != nil {
		return fmt.Errorf("the servers: %w", err)
	}
	all := append(client, servers...)
	fmt.Fprint(out, table(all))
	fmt.Fprintf(out, "\nIn %v.\n", time.Since(began).Round(time.Second))
	return judge(all)
}
