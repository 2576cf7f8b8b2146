package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Verdict is what became of a mutant.
type Verdict string

// The verdicts.
const (
	Killed    Verdict = "killed"    // a test failed
	TimedOut  Verdict = "timed out" // a test did not end: that is a failure too
	NotBuilt  Verdict = "not built" // it is no Go program: it counts for nothing
	Survived  Verdict = "survived"
	Undecided Verdict = ""
)

// Result is a mutant and its fate.
type Result struct {
	Mutant
	Verdict Verdict `json:"verdict"`
	Stage   int     `json:"stage"` // of the tests that killed it, counted from 1; 0 when none did
	Reason  string  `json:"reason,omitempty"`
}

// stage is a set of tests. Mutants that survive one meet the next.
type stage struct {
	name    string
	race    bool // with the race detector; only for mutants that change how goroutines meet
	args    []string
	env     []string
	timeout time.Duration
}

// stages begin with what is quick, because most mutants die there.
func stages() []stage {
	const race = "ChaosWithPings|ChaosWithAPing|UnderLoad|BreaksWhileItIsLent|ManyMovers|Offered|TheLockGuards"
	const worlds, chaos, slow = "Thousand|Hours", "Chaos|DeadLease|TenThousand|BreaksWhileItIsLent", "UnderLoad|Microseconds|DiesInUse|Example"
	return []stage{
		{name: "quick", args: []string{"-test.skip", worlds + "|" + chaos + "|" + slow}, timeout: 6 * time.Second},
		{name: "simulation", args: []string{"-test.run", "Thousand|Model"}, env: []string{"HERZ_SEEDS=60"}, timeout: 12 * time.Second},
		{name: "slow", args: []string{"-test.skip", worlds + "|" + chaos}, timeout: 15 * time.Second},
		{name: "race", race: true, args: []string{"-test.run", race}, timeout: 60 * time.Second},
	}
}

// runner tries mutants in a folder of its own.
type runner struct {
	root, work string
	stages     []stage
}

// try gives the fate of a mutant; the zero Mutant is the code as it is.
func (r *runner) try(ctx context.Context, pkg string, m Mutant) (Verdict, int, error) {
	overlay, err := r.overlay(m)
	if err != nil {
		return Undecided, 0, err
	}
	binaries := map[bool]string{}
	for i, s := range r.stages {
		if s.race && m.File != "" && !m.concurrent() {
			continue
		}
		if binaries[s.race] == "" {
			binaries[s.race] = filepath.Join(r.work, fmt.Sprintf("tests-%v", s.race))
			if !r.build(ctx, pkg, overlay, binaries[s.race], s.race) {
				return NotBuilt, 0, ctx.Err()
			}
		}
		verdict := r.test(ctx, pkg, binaries[s.race], s)
		if ctx.Err() != nil {
			return Undecided, 0, ctx.Err()
		}
		if verdict != Survived {
			return verdict, i + 1, nil
		}
	}
	return Survived, 0, nil
}

// overlay writes the mutated file and tells the go command to read it in place of the real one.
func (r *runner) overlay(m Mutant) (string, error) {
	replace := map[string]string{}
	if m.File != "" {
		path := filepath.Join(r.root, m.File)
		source, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the file to mutate: %w", err)
		}
		mutated := filepath.Join(r.work, "mutant.go")
		if err := os.WriteFile(mutated, m.apply(source), 0o600); err != nil {
			return "", fmt.Errorf("write the mutant: %w", err)
		}
		replace[path] = mutated
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("encode the overlay: %w", err)
	}
	path := filepath.Join(r.work, "overlay.json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return "", fmt.Errorf("write the overlay: %w", err)
	}
	return path, nil
}

func (r *runner) build(ctx context.Context, pkg, overlay, binary string, race bool) bool {
	args := []string{"test", "-c", "-ldflags=-s -w", "-overlay", overlay, "-o", binary}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+pkg)...)
	cmd.Dir = r.root
	return cmd.Run() == nil
}

func (r *runner) test(ctx context.Context, pkg, binary string, s stage) Verdict {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"-test.failfast", "-test.timeout", (s.timeout - time.Second).String()}, s.args...)...)
	cmd.Dir = filepath.Join(r.root, pkg)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return Survived
	case errors.Is(ctx.Err(), context.DeadlineExceeded) || strings.Contains(string(out), "panic: test timed out"):
		return TimedOut
	default:
		return Killed
	}
}
