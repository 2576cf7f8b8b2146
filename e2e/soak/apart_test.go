//go:build linux

package soak_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"herz.example/herz/faultlab/owner"
)

// soaks are run each in a process of its own for the long form: who copies 32 MiB at a time makes a relay in the same process late.
var soaks = []string{
	"TestRoundTripsOfUpToTwoSecondsEndNoConnection",
	"TestFreezesOfASecondEndNoConnection",
	"TestLossOfOnePacketInTwentyEndsNoConnection",
	"TestServerThatReadsNothingWhileWeWriteIsNotCut",
	"TestThreeServersBehindOneNameAreNoFailOver",
}

// runApart runs them, prints what those that failed said, and makes one report of theirs. It gives the exit code.
func runApart() int {
	dir, err := os.MkdirTemp("", owner.Name("soak")+"-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	code := 0
	var running sync.WaitGroup
	said, reports, ends := make([]bytes.Buffer, len(soaks)), make([]string, len(soaks)), make([]error, len(soaks))
	for i, name := range soaks {
		reports[i] = filepath.Join(dir, name+".json")
		cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.v", "-test.count=1", "-test.parallel=8",
			"-test.timeout="+(*length*2+10*time.Minute).String(),
			"-soak.for="+length.String(), fmt.Sprintf("-soak.seed=%d", *seed), "-soak.out="+reports[i])
		cmd.Stdout, cmd.Stderr = &said[i], &said[i]
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // they do not outlive us
		running.Go(func() { ends[i] = cmd.Run() })
	}
	running.Wait()
	for i, name := range soaks {
		if ends[i] != nil {
			code = 1
			fmt.Printf("== %s: %v\n%s\n", name, ends[i], said[i].Bytes())
		}
		if err := results.read(reports[i]); err != nil {
			code = 1
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if err := results.write(os.Stdout, *output); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// read adds the rows of a report.
func (b *book) read(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var report struct {
		Rows []row `json:"rows"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, r := range report.Rows {
		b.add(r)
	}
	return nil
}
