//go:build linux

package netns

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"herz.example/herz/faultlab/owner"
)

// commandTime bounds each command that is run.
const commandTime = 10 * time.Second

// runDir is where ip(8) keeps the names of namespaces.
const runDir = "/run/netns"

// NS is a network namespace that lives as long as its test.
type NS struct {
	name   string
	hostIP string
	ip     string
}

// New makes a namespace and removes it when the test ends. Processes that still run inside are killed then.
func New(t testing.TB) *NS {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("netns: a network namespace needs root: run the end-to-end tests as root (sudo -E make test)")
	}
	for _, tool := range []string{"ip", "ss", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("netns: %s is missing: run tools/setup.sh as root: %v", tool, err)
		}
	}
	if err := sweep(); err != nil {
		t.Fatalf("netns: remove what a crashed run left: %v", err)
	}
	seq := owner.Next()
	n := &NS{name: owner.Name(fmt.Sprintf("n%d", seq))}
	subnet := (os.Getpid()*16 + seq) % (1 << 15) * 4 // 198.18.0.0/15 holds 2^15 networks of 4 addresses
	host := func(i int) string {
		a := subnet + i
		return fmt.Sprintf("198.%d.%d.%d", 18+a>>16, a>>8&255, a&255)
	}
	n.hostIP, n.ip = host(1), host(2)
	outer, inner := link(n.name), "eth0"

	t.Cleanup(func() {
		if err := remove(n.name); err != nil {
			t.Errorf("netns: %v", err)
		}
	})
	for _, step := range [][]string{
		{"ip", "netns", "add", n.name},
		{"ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", n.name},
		{"ip", "addr", "add", n.hostIP + "/30", "dev", outer},
		{"ip", "link", "set", outer, "up"},
		{"ip", "-n", n.name, "addr", "add", n.ip + "/30", "dev", inner},
		{"ip", "-n", n.name, "link", "set", inner, "up"},
		{"ip", "-n", n.name, "link", "set", "lo", "up"},
	} {
		if out, err := run(step...); err != nil {
			t.Fatalf("netns: %s: %v: %s", strings.Join(step, " "), err, out)
		}
	}
	if err := n.rules(); err != nil {
		t.Fatalf("netns: %v", err)
	}
	return n
}

// IP is the address of the namespace, which the host can dial.
func (n *NS) IP() string { return n.ip }

// HostIP is the host's address on the way to the namespace.
func (n *NS) HostIP() string { return n.hostIP }

// Do runs fn inside the namespace. Processes that fn starts stay there; goroutines and sockets of others are not affected.
func (n *NS) Do(fn func() error) error {
	runtime.LockOSThread()
	outside, err := open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() { _ = unix.Close(outside) }()
	inside, err := open(filepath.Join(runDir, n.name))
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() { _ = unix.Close(inside) }()
	if err = unix.Setns(inside, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("netns: enter %s: %w", n.name, err)
	}
	err = fn()
	if back := unix.Setns(outside, unix.CLONE_NEWNET); back != nil {
		return fmt.Errorf("netns: leave %s: %w", n.name, back) // the thread stays locked, and so ends with its goroutine
	}
	runtime.UnlockOSThread()
	return err
}

func open(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("netns: open %s: %w", path, err)
	}
	return fd, nil
}

// sweep removes the namespaces of runs that have ended without doing so themselves.
func sweep() error {
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

// run runs a command within commandTime and gives its output.
func run(args ...string) (string, error) { return runWith("", args...) }

func runWith(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // fixed commands of this package
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
