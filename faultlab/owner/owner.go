//go:build linux

package owner

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Prefix begins every name.
const Prefix = "herz-lab-"

var last atomic.Uint32

// Next is a number that this process has not given before, from 1.
func Next() int { return int(last.Add(1)) }

// Name is "herz-lab-PID-tail".
func Name(tail string) string { return fmt.Sprintf("%s%d-%s", Prefix, os.Getpid(), tail) }

// Gone reports whether name was made by [Name] in a process that has ended.
func Gone(name string) bool {
	rest, ours := strings.CutPrefix(name, Prefix)
	if !ours {
		return false
	}
	digits, _, _ := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(digits)
	if err != nil || pid <= 0 {
		return false
	}
	return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
