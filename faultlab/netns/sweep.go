//go:build linux

package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"herz.example/herz/faultlab/owner"
)

// Sweep removes the namespaces of processes that have ended without doing so themselves. [Open] does it first.
func Sweep() error {
	entries, err := os.ReadDir(runDir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !owner.Gone(e.Name()) {
			continue
		}
		// Two runs may sweep at once; what matters is that the name is gone afterwards.
		if err := remove(e.Name()); err != nil {
			if _, still := os.Stat(filepath.Join(runDir, e.Name())); still == nil {
				return err
			}
		}
	}
	return nil
}

// link is the name of the host's interface to a namespace, within the 15 characters of the kernel: "hzPID-SEQ".
func link(name string) string {
	return "hz" + strings.Replace(strings.TrimPrefix(name, owner.Prefix), "-n", "-", 1)
}

// remove kills what runs inside and removes the namespace, with its interfaces and rules. Sockets that still wait in a hole keep
// the kernel from doing it all at once, so the host's interface is removed by name.
func remove(name string) error {
	if _, err := os.Stat(filepath.Join(runDir, name)); err != nil {
		return nil
	}
	defer func() { _, _ = run("ip", "link", "del", link(name)) }() // gone already: good
	if pids, err := run("ip", "netns", "pids", name); err == nil {
		for _, pid := range strings.Fields(pids) {
			var p int
			if _, err := fmt.Sscan(pid, &p); err == nil {
				_ = unix.Kill(p, unix.SIGKILL)
			}
		}
	}
	if out, err := run("ip", "netns", "del", name); err != nil {
		return fmt.Errorf("remove %s: %w: %s", name, err, out)
	}
	return nil
}
