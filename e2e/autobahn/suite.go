//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// suite is the test suite that was fetched, and what it is to run.
type suite struct {
	wstest string
	cases  []string
	out    string // where its reports go
	keep   bool
}

// newSuite looks for the suite. Reports empty: they go to a folder that tidy removes.
func newSuite(folder, reports string, cases []string) (s *suite, err error) {
	s = &suite{cases: cases, keep: reports != ""}
	if s.wstest, err = filepath.Abs(filepath.Join(folder, "wstest")); err != nil {
		return nil, err
	}
	if _, err = os.Stat(s.wstest); err != nil {
		return nil, fmt.Errorf("%w: the suite is not in %s (tools/autobahn.sh %s fetches it): %w", errUsage, folder, folder, err)
	}
	if s.keep {
		s.out, err = filepath.Abs(reports)
	} else {
		s.out, err = os.MkdirTemp("", "herz-autobahn-")
	}
	return s, err
}

func (s *suite) tidy() {
	if !s.keep {
		_ = os.RemoveAll(s.out) // of our own making
	}
}

// target is a server that the suite is to be a client of.
type target struct {
	Agent string `json:"agent"`
	URL   string `json:"url"`
}

// spec is what wstest reads, as a client (Servers) or as a server (URL).
type spec struct {
	URL     string              `json:"url,omitempty"`
	Servers []target            `json:"servers,omitempty"`
	Out     string              `json:"outdir"`
	Cases   []string            `json:"cases"`
	Without []string            `json:"exclude-cases"`
	Agents  map[string][]string `json:"exclude-agent-cases"`
}

// start starts wstest in a mode, and has it ended with ctx.
func (s *suite) start(ctx context.Context, mode string, sp spec, log io.Writer) (*exec.Cmd, error) {
	sp.Out, sp.Cases, sp.Without, sp.Agents = filepath.Join(s.out, mode), s.cases, []string{}, map[string][]string{}
	if err := os.MkdirAll(sp.Out, 0o755); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(sp)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(sp.Out, "spec.json")
	if err = os.WriteFile(file, raw, 0o644); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, s.wstest, "--mode", mode, "--spec", file) //nolint:gosec // what the caller said is the suite
	cmd.Dir, cmd.Stderr = sp.Out, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the script, and the interpreter it becomes
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd, cmd.Start()
}

// results reads what the suite found in a mode.
func (s *suite) results(mode string) ([]agent, error) {
	raw, err := os.ReadFile(filepath.Join(s.out, mode, "index.json"))
	if err != nil {
		return nil, fmt.Errorf("the suite left no results: %w", err)
	}
	return parse(raw)
}

// await waits until somebody listens.
func await(ctx context.Context, addr string) error {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return nc.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nobody listens at %s: %w", addr, err)
		case <-again.C:
		}
	}
}

// freeAddr is an address that nobody listens at now.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
