//go:build linux

package netns_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"herz.example/herz/faultlab/netns"
)

// crashing is set in the process that is to be killed while it has a router.
const crashing = "HERZ_NETNS_CRASH"

func TestWhatACrashedProcessLeftIsSweptAway(t *testing.T) {
	if os.Getenv(crashing) != "" {
		if _, err := netns.OpenRouter(2); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stdout.WriteString("standing\n"); err != nil {
			t.Fatal(err)
		}
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
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "standing" {
		t.Log(lines.Text())
	}
	pid := "-" + strconv.Itoa(cmd.Process.Pid) + "-"
	if left := leftBy(t, pid); len(left) != 3 {
		t.Errorf("before the crash there are %v; want a router and two namespaces", left)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if err := netns.Sweep(); err != nil {
		t.Fatal(err)
	}
	if left := leftBy(t, pid); len(left) > 0 {
		t.Errorf("after the sweep there are still %v", left)
	}
	links, err := exec.Command("ip", "-br", "link").CombinedOutput()
	if err != nil || strings.Contains(string(links), "hz"+strings.Trim(pid, "-")+"-") {
		t.Errorf("after the sweep the host has %s, %v", links, err)
	}
}

func leftBy(t *testing.T, pid string) []string {
	t.Helper()
	found, err := filepath.Glob("/run/netns/*" + pid + "*")
	if err != nil {
		t.Fatal(err)
	}
	return found
}
