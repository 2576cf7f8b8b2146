package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// bar is the least share of mutants that has to be killed.
const bar = 0.85

const usage = `mutate breaks packages in one place at a time and runs their tests each time.

  go run ./internal/mutate -pkgs pool,conn
  go run ./internal/mutate -pkgs pool -only pool/store.go,pool/core.go
  go run ./internal/mutate -pkgs pool -resume /tmp/fates.json   # goes on where an interrupted run stopped

Exit codes: 0 the bar is reached and every survivor is named, 1 it is not, 2 wrong usage.

`

type options struct {
	root, pkgs, only, resume, names, form string
	sample, workers                       int
	seed                                  uint64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	if err != nil {
		os.Exit(2)
	}
	good, err := run(ctx, o, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
	}
	if !good {
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage); flags.PrintDefaults() }
	flags.StringVar(&o.root, "dir", ".", "the folder of the module")
	flags.StringVar(&o.pkgs, "pkgs", "pool,conn", "packages, by folder")
	flags.StringVar(&o.only, "only", "", "only mutants whose file:line begins with this, or with one of several, separated by commas")
	flags.StringVar(&o.resume, "resume", "", "a file that keeps the fates; what it has already is not tried again")
	flags.StringVar(&o.names, "harmless", "internal/mutate/harmless.txt", "the survivors that were looked at, each with its reason")
	flags.StringVar(&o.form, "o", "text", "what is printed: text or json")
	flags.IntVar(&o.sample, "sample", 0, "try only so many, drawn by -seed; 0: all")
	flags.Uint64Var(&o.seed, "seed", 1, "of the sample and of the order")
	flags.IntVar(&o.workers, "workers", 2, "mutants tried at the same time")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.form != "text" && o.form != "json" {
		err := fmt.Errorf("output %q is unknown: use -o text or -o json", o.form)
		fmt.Fprintln(flags.Output(), "mutate:", err)
		return o, err
	}
	return o, nil
}

// run tries the mutants and reports. Good: the bar is reached and every survivor has a name.
func run(ctx context.Context, o options, out, progress io.Writer) (good bool, err error) {
	root, err := filepath.Abs(o.root)
	if err != nil {
		return false, fmt.Errorf("find the module: %w", err)
	}
	harmless, err := readHarmless(o.names)
	if err != nil {
		return false, err
	}
	all, err := collect(root, o)
	if err != nil {
		return false, err
	}
	t := &trial{root: root, stages: stages(), harmless: harmless, log: progress, total: len(all), began: time.Now()}
	if err := t.load(o.resume); err != nil {
		return false, err
	}
	if err := t.baseline(ctx, strings.Split(o.pkgs, ",")); err != nil {
		return false, err
	}
	if err := t.all(ctx, all, o.workers); err != nil {
		return false, err
	}
	return report(out, t.results, o.form)
}

func collect(root string, o options) ([]Mutant, error) {
	var all []Mutant
	for _, pkg := range strings.Split(o.pkgs, ",") {
		found, err := findAll(root, pkg)
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			if o.wants(m) {
				all = append(all, m)
			}
		}
	}
	if len(all) == 0 {
		return nil, errors.New("nothing to mutate: look at -dir, -pkgs and -only")
	}
	dice := rand.New(rand.NewPCG(o.seed, 0)) //nolint:gosec // a sample has to be drawn again by its seed
	dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if o.sample > 0 && o.sample < len(all) {
		all = all[:o.sample]
	}
	return all, nil
}

// wants reports whether -only lets the mutant through.
func (o options) wants(m Mutant) bool {
	place := fmt.Sprintf("%s:%d", filepath.ToSlash(m.File), m.Line)
	return slices.ContainsFunc(strings.Split(o.only, ","), func(begin string) bool { return strings.HasPrefix(place, begin) })
}

// trial is a run over many mutants.
type trial struct {
	root     string
	stages   []stage
	harmless map[string]string
	log      io.Writer
	total    int
	began    time.Time
	keep     *os.File

	// mu guards what is below. The tests of a mutant run without it.
	mu      sync.Mutex
	known   map[string]Result
	results []Result
	tried   int
}

// baseline proves that the tests are green without any mutant: otherwise each would seem to be killed.
func (t *trial) baseline(ctx context.Context, pkgs []string) error {
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return fmt.Errorf("make a folder to work in: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	for _, pkg := range pkgs {
		r := &runner{root: t.root, work: work, stages: t.stages}
		v, stage, err := r.try(ctx, pkg, Mutant{})
		if err != nil {
			return err
		}
		if v != Survived {
			return fmt.Errorf("the tests of %s without any mutant: %s (stage %d): they have to pass first", pkg, v, stage)
		}
	}
	return nil
}

// all tries every mutant, several at a time.
func (t *trial) all(ctx context.Context, list []Mutant, workers int) error {
	work := make(chan Mutant)
	errs := make(chan error, workers)
	for range workers {
		go func() { errs <- t.worker(ctx, work) }()
	}
	for _, m := range list {
		select {
		case work <- m:
		case <-ctx.Done():
		}
	}
	close(work)
	var first error
	for range workers {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (t *trial) worker(ctx context.Context, list <-chan Mutant) (err error) {
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return fmt.Errorf("make a folder to work in: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	r := &runner{root: t.root, work: work, stages: t.stages}
	for m := range list {
		if err != nil {
			continue // the others have to come to their end
		}
		t.mu.Lock()
		known, ok := t.known[place(m)]
		t.mu.Unlock()
		if !ok {
			known.Mutant = m
			known.Verdict, known.Stage, err = r.try(ctx, filepath.Dir(m.File), m)
			if err != nil {
				continue
			}
		}
		err = t.note(known, !ok)
	}
	return err
}

func place(m Mutant) string {
	return fmt.Sprintf("%s:%d %s → %s", m.Key(), m.Line, m.Before, m.After)
}

// note keeps a result.
func (t *trial) note(r Result, fresh bool) error {
	r.Reason = t.harmless[r.Key()]
	t.mu.Lock()
	defer t.mu.Unlock()
	t.results = append(t.results, r)
	if !fresh {
		return nil
	}
	t.tried++
	if r.Verdict == Survived || t.tried%20 == 0 {
		left := time.Duration(t.total-len(t.results)) * (time.Since(t.began) / time.Duration(t.tried))
		fmt.Fprintf(t.log, "%d of %d, %v left: %s:%d %s %s: %s\n", len(t.results), t.total, left.Round(time.Second), r.File, r.Line, r.Operator, r.Before, r.Verdict)
	}
	if t.keep == nil {
		return nil
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode a result: %w", err)
	}
	if _, err := t.keep.Write(append(raw, '\n')); err != nil {
		return fmt.Errorf("keep a result: %w", err)
	}
	return nil
}

// load reads the fates of an earlier run and goes on behind them.
func (t *trial) load(path string) error {
	t.known = map[string]Result{}
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the fates of an earlier run: %w", err)
	}
	t.keep = f
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		var r Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("%s:%d: not a result: %w", path, n, err)
		}
		t.known[place(r.Mutant)] = r
	}
	return lines.Err()
}
