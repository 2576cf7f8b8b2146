//go:build linux

package owner_test

import (
	"os/exec"
	"strconv"
	"testing"

	"herz.example/herz/faultlab/owner"
)

func TestOnlyNamesOfEndedProcessesAreGone(t *testing.T) {
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		owner.Name("x"):          false,
		"herz-lab-1-x":           false,
		"herz-lab-x":             false,
		"herz-lab--1-x":          false,
		"somebody-else-99999999": false,
		owner.Prefix + strconv.Itoa(ended.Process.Pid) + "-x": true,
	} {
		if got := owner.Gone(name); got != want {
			t.Errorf("Gone(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestNumbersAreGivenOnce(t *testing.T) {
	if a, b := owner.Next(), owner.Next(); a == b {
		t.Fatalf("Next gave %d twice", a)
	}
}
