//go:build linux

package signals_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"herz.example/herz/faultlab/server"
)

func TestMain(m *testing.M) {
	// The faults are ours: the tests look at what is exported, not at what is logged.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if err := mysql.SetLogger(&mysql.NopLogger{}); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := server.CleanUp(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// program starts a program that ends with the test, or with the test's process. Its last words are shown when the test fails.
func program(t *testing.T, name string, args ...string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), name+".log")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s (Debian: prometheus, prometheus-pushgateway): %v", name, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		var ended *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &ended) {
			t.Errorf("end %s: %v", name, err)
		}
		_ = out.Close()
		if text, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("%s said:\n%s", name, text[max(0, len(text)-2000):])
		}
	})
}

// freePort is a port that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// within polls until ok, for a while.
func within(most time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(most); !ok(); {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(100 * time.Millisecond)
	}
	return true
}
