//go:build linux

package server

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a started server with its children.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the first process has ended
}

// launch starts a program under the account, with its output in a file. It dies with this process.
func launch(a *account, path string, args []string, dir, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the program has its own
	cmd := exec.Command(path, args...) //nolint:gosec,noctx // it is ended by kill
	cmd.Dir, cmd.Env = dir, a.env(dir)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = a.attributes()
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for the test, which then ends the server
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // killed, or its log says why
		close(p.ended)
	}()
	return p, nil
}

// kill ends the process and its children, and waits for their end.
func (p *process) kill() error {
	all := family(p.cmd.Process.Pid)
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone already: good
	}
	deadline := time.Now().Add(endTime)
	for len(all) > 0 && time.Now().Before(deadline) {
		all = slices.DeleteFunc(all, dead)
		time.Sleep(time.Millisecond)
	}
	if len(all) > 0 {
		return fmt.Errorf("processes %v did not end within %v of SIGKILL", all, endTime)
	}
	<-p.ended
	return nil
}

func (p *process) signalAll(s syscall.Signal) error {
	var errs []error
	for _, pid := range family(p.cmd.Process.Pid) {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// freeze stops all threads of all processes and returns when they stand still: the signal alone takes effect later, and a
// thread that is still running may answer somebody.
func (p *process) freeze() error {
	if err := p.signalAll(syscall.SIGSTOP); err != nil {
		return err
	}
	moving := family(p.cmd.Process.Pid)
	for deadline := time.Now().Add(endTime); ; time.Sleep(time.Millisecond) {
		if moving = slices.DeleteFunc(moving, stopped); len(moving) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v did not stop within %v of SIGSTOP", moving, endTime)
		}
	}
}

// stopped reports that no thread of the process runs.
func stopped(pid int) bool {
	tasks, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(tasks, func(stat string) bool {
		state, _, ok := status(stat)
		return ok && !strings.Contains("TtZX", state)
	})
}

// family gives a process and all that descend from it, parents first. PostgreSQL has a process for each connection, in a
// process group of its own.
func family(root int) []int {
	children := map[int][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return []int{root}
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if _, parent, ok := status("/proc/" + e.Name() + "/stat"); ok {
			children[parent] = append(children[parent], pid)
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// dead reports that a process is gone, or is only waiting for its parent to notice.
func dead(pid int) bool {
	state, _, ok := status("/proc/" + strconv.Itoa(pid) + "/stat")
	return !ok || state == "Z" || state == "X"
}

// status reads the state and the parent of a process or thread, after its name, which may contain anything (proc(5)).
func status(stat string) (state string, parent int, ok bool) {
	b, err := os.ReadFile(stat)
	if err != nil {
		return "", 0, false
	}
	text := string(b)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return fields[0], parent, err == nil
}

// tail gives the end of a file, for a message.
func tail(path string) string {
	const most = 4000
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}
