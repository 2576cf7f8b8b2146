//go:build linux

package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"herz.example/herz/faultlab/owner"
)

// Most bounds how many namespaces one process has open at once.
const Most = 64

// commandTime bounds each command that is run.
const commandTime = 10 * time.Second

// runDir is where ip(8) keeps the names of namespaces.
const runDir = "/run/netns"

var open atomic.Int32

// NS is a network namespace.
type NS struct {
	name   string
	hostIP string // from where its clients come
	ip     string
	subnet *subnet

	counted bool // in open
	end     sync.Once
	endErr  error

	// mu guards lost. Nothing is called while it is held.
	mu   sync.Mutex
	lost []int // the clients' ports that Drop has named since the newest Heal
}

// Open makes a namespace that the host can reach.
func Open() (*NS, error) {
	n, err := create()
	if err != nil {
		return nil, err
	}
	n.hostIP = n.subnet.addr(1)
	outer, inner := link(n.name), "eth0"
	err = steps(
		[]string{"ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", n.name},
		[]string{"ip", "addr", "add", n.hostIP + "/30", "dev", outer},
		[]string{"ip", "link", "set", outer, "up"},
		[]string{"ip", "-n", n.name, "addr", "add", n.ip + "/30", "dev", inner},
		[]string{"ip", "-n", n.name, "link", "set", inner, "up"},
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("netns: %w", err), n.Close())
	}
	return n, nil
}

// create makes a namespace with its subnet and rules, and without a way to it.
func create() (*NS, error) {
	if err := able(); err != nil {
		return nil, err
	}
	if err := Sweep(); err != nil {
		return nil, fmt.Errorf("netns: remove what a crashed run left: %w", err)
	}
	net, err := claim()
	if err != nil {
		return nil, err
	}
	n := &NS{name: owner.Name(fmt.Sprintf("n%d", owner.Next())), ip: net.addr(2), subnet: net}
	if open.Add(1) > Most {
		open.Add(-1)
		return nil, errors.Join(fmt.Errorf("netns: %d namespaces are open, which is the most for one process: close some", Most), n.Close())
	}
	n.counted = true
	err = steps(
		[]string{"ip", "netns", "add", n.name},
		[]string{"ip", "-n", n.name, "link", "set", "lo", "up"},
	)
	if err == nil {
		err = n.nft(table)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("netns: %w", err), n.Close())
	}
	return n, nil
}

// able says what is missing here.
func able() error {
	if os.Geteuid() != 0 {
		return errors.New("netns: a network namespace needs root: run as root (sudo -E make test)")
	}
	for _, tool := range []string{"ip", "ss", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("netns: %s is missing: run tools/setup.sh as root: %w", tool, err)
		}
	}
	return nil
}

// Close kills what still runs inside and removes the namespace. It may be called twice.
func (n *NS) Close() error {
	n.end.Do(func() {
		n.endErr = errors.Join(remove(n.name), n.subnet.release())
		if n.counted {
			open.Add(-1)
		}
	})
	return n.endErr
}

// IP is the address of the namespace, which the host can dial.
func (n *NS) IP() string { return n.ip }

// HostIP is the host's address, as servers in the namespace see their clients.
func (n *NS) HostIP() string { return n.hostIP }

// Do runs fn inside the namespace. Processes that fn starts stay there; goroutines and sockets of others are not affected.
func (n *NS) Do(fn func() error) error {
	runtime.LockOSThread()
	outside, err := openPath("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() { _ = unix.Close(outside) }()
	inside, err := openPath(filepath.Join(runDir, n.name))
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

func openPath(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("netns: open %s: %w", path, err)
	}
	return fd, nil
}

// set writes a kernel setting of the namespace, given as its path under /proc/sys.
func (n *NS) set(name, value string) error {
	return n.Do(func() error {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0); err != nil {
			return fmt.Errorf("netns: set %s to %s: %w", name, value, err)
		}
		return nil
	})
}

// steps runs commands one after the other, up to the first that fails.
func steps(commands ...[]string) error {
	for _, c := range commands {
		if out, err := run(c...); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(c, " "), err, out)
		}
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
