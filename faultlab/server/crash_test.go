//go:build linux

package server_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"herz.example/herz/faultlab/owner"
	"herz.example/herz/faultlab/server"
)

// crashing is set in the process that is to be killed while it has servers.
const crashing = "HERZ_SERVER_CRASH"

func TestServersOfACrashedProcessDieAndTheirFoldersAreSweptAway(t *testing.T) {
	if os.Getenv(crashing) != "" {
		for _, k := range []server.Kind{server.PostgreSQL, server.Redis} {
			s, err := server.Open(k, server.Options{})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println("standing", s.Addr())
		}
		fmt.Println("all")
		select {} // until it is killed
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), crashing+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addrs []string
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "all"; {
		var addr string
		if _, err := fmt.Sscanf(lines.Text(), "standing %s", &addr); err == nil {
			addrs = append(addrs, addr)
		}
	}
	folders := func() []string {
		found, err := filepath.Glob(filepath.Join(os.TempDir(), owner.Prefix+strconv.Itoa(cmd.Process.Pid)+"-*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if len(addrs) != 2 || len(folders()) < 2 {
		t.Errorf("before the crash: servers at %v, folders %v", addrs, folders())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for _, addr := range addrs {
		for deadline := time.Now().Add(5 * time.Second); answers(addr); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("5 s after the crash the server at %s lives", addr)
			}
		}
	}
	if err := server.Sweep(); err != nil {
		t.Fatal(err)
	}
	if left := folders(); len(left) > 0 {
		t.Errorf("after the sweep there are still %v", left)
	}
}
