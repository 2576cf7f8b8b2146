//go:build linux

package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"herz.example/herz/faultlab/owner"
)

// account is who runs a server.
type account struct {
	uid, gid uint32
	change   bool // we are root and must become somebody else
}

func accountOf(k Kind) (*account, error) {
	if os.Geteuid() != 0 {
		return &account{}, nil
	}
	for _, name := range append(slices.Clone(k.product().accounts), "nobody") {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, err
		}
		return &account{uid: uint32(uid), gid: uint32(gid), change: true}, nil
	}
	return nil, fmt.Errorf("%v refuses to run as root, and there is no account %v nor nobody", k, k.product().accounts)
}

// attributes start a process as the account. It gets SIGKILL when the thread that started it ends; Go's threads end with
// the process.
func (a *account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if a.change {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

func (a *account) env(home string) []string {
	return []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + home, "LC_ALL=C", "TZ=UTC"}
}

// run runs a program to its end as the account, within installTime.
func (a *account) run(dir, stdin string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), installTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // fixed commands of this package
	cmd.Dir, cmd.Env = dir, a.env(dir)
	cmd.SysProcAttr = a.attributes()
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(args[0]), err, out)
	}
	return nil
}

// folder makes a temporary folder that belongs to the account. It is not that of the test, which only its owner may enter.
func (a *account) folder(tail string) (string, error) {
	if err := Sweep(); err != nil {
		return "", fmt.Errorf("remove what a crashed run left: %w", err)
	}
	dir, err := os.MkdirTemp("", owner.Name(tail)+"-")
	if err != nil {
		return "", err
	}
	if a.change {
		err = os.Chown(dir, int(a.uid), int(a.gid))
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// own gives the account a file that was just made; err is what came of making it.
func (a *account) own(path string, err error) error {
	if err != nil || !a.change {
		return err
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// Sweep removes the folders of processes that have ended without doing so themselves. [Open] does it first.
func Sweep() error {
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if owner.Gone(e.Name()) {
			errs = append(errs, os.RemoveAll(filepath.Join(os.TempDir(), e.Name())))
		}
	}
	return errors.Join(errs...)
}

// program finds a program of the product, in PATH or in the newest of its folders.
func (p *product) program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, pattern := range p.bins {
		found, err := filepath.Glob(filepath.Join(pattern, name))
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return slices.MaxFunc(found, func(a, b string) int {
				return strings.Compare(fmt.Sprintf("%64s", a), fmt.Sprintf("%64s", b)) // 9 before 15
			}), nil
		}
	}
	return "", fmt.Errorf("%s is missing (%s): run tools/setup.sh as root", name, p.name)
}
