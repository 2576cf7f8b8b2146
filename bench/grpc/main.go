package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"herz.example/herz/bench/record"
)

const usage = `grpc measures calls through plain gRPC, herzgrpc and otelgrpc in one interleaved, randomised run, then black holes and pings (docs/bench.md).

  go run ./bench/grpc --quick
  go run ./bench/grpc -o json --out ""

Exit codes: 0 measured, 1 failed (with --strict also: a target was missed), 2 wrong usage.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func command(ctx context.Context, args []string, out, log io.Writer) int {
	return record.ExitCode("bench/grpc", run(ctx, args, out, log), log)
}

// plan is how much is measured.
type plan struct {
	rounds int
	window time.Duration
	holes  int           // black holes for herzgrpc with each thing in flight; the others get one
	enough time.Duration // when a client that does not get out of a hole is given up
	quiet  time.Duration // how long a stream says nothing while its client pings; 0: that is left out
}

var (
	full  = plan{rounds: 160, window: 100 * time.Millisecond, holes: 4, enough: 30 * time.Second, quiet: 3 * time.Minute}
	quick = plan{rounds: 20, window: 50 * time.Millisecond, holes: 1, enough: 12 * time.Second}
)

func run(ctx context.Context, args []string, out, log io.Writer) error {
	o := record.NewLine("grpc", usage, log)
	short := o.Bool("quick", false, "fewer rounds, and no three minutes of silence, in less than a minute; too few for more than a look")
	seed := o.Uint64("seed", 0, "of the order of all windows; 0: one of chance, which is printed")
	rounds := o.Int("rounds", 0, "repetitions of each row, at least 5; 0: those of the run")
	if err := o.Parse(args); err != nil {
		return err
	}
	name, p := "grpc", full
	if *short {
		name, p = "grpc-quick", quick
	}
	switch {
	case *rounds == 0:
	case *rounds < 5:
		return fmt.Errorf("%w: --rounds %d: at least 5", record.ErrUsage, *rounds)
	default:
		p.rounds = *rounds
	}
	for *seed == 0 {
		*seed = rand.Uint64() //nolint:gosec // an order, and no secret
	}
	r := newReport(name, p, *seed)
	if err := r.collect(ctx, log); err != nil {
		return err
	}
	if err := r.write(o.Dir, o.Form, out); err != nil {
		return err
	}
	return o.Judge(r.Verdict)
}
