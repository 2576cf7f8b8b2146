package herztest

import (
	"bytes"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// VerifyNoGoroutines makes the test fail when goroutines that were begun after the call are still there at its end, and shows where each stands and who began
// it. Call it first, so that it looks last. Goroutines of the testing package and of the runtime do not count; those that tests beside this one begin do.
//
// Where the program was built with GOEXPERIMENT=goroutineleakprofile (Go 1.26) it also says which of all goroutines can never go on, because nobody can reach
// what they wait for any more.
func VerifyNoGoroutines(t testing.TB) {
	t.Helper()
	before := map[string]bool{}
	for _, g := range goroutines() {
		before[g.id] = true
	}
	t.Cleanup(func() {
		t.Helper()
		var left []goroutine
		for until := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			if left = begunSince(before); len(left) == 0 || time.Now().After(until) {
				break
			}
		}
		for _, g := range left {
			t.Errorf("herztest: a goroutine that was begun in the test is still there:\n%s", g.text)
		}
		if n, stacks := stuck(); n > 0 {
			t.Errorf("herztest: %d goroutines wait for what nobody can reach any more:\n%s", n, stacks)
		}
	})
}

// goroutine is one of the goroutines of the process, as the runtime prints it.
type goroutine struct{ id, text string }

// goroutines lists all but the caller's own.
func goroutines() (list []goroutine) {
	buf := make([]byte, 1<<16)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	for i, text := range strings.Split(string(buf), "\n\n") {
		if i == 0 {
			continue
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(text, "goroutine "), " ")
		list = append(list, goroutine{id, text})
	}
	return list
}

// ofTesting are begins of functions whose goroutines belong to the test runner or the runtime.
var ofTesting = []string{"testing.", "runtime.", "os/signal."}

// begunSince lists the goroutines that were not there before.
func begunSince(before map[string]bool) (list []goroutine) {
	for _, g := range goroutines() {
		if !before[g.id] && !ofRunner(g.text) {
			list = append(list, g)
		}
	}
	return list
}

// ofRunner reports whether the function that a goroutine began with belongs to the test runner or the runtime.
func ofRunner(text string) bool {
	_, by, _ := strings.Cut(text, "created by ")
	for _, p := range ofTesting {
		if strings.HasPrefix(by, p) {
			return true
		}
	}
	return by == "" // the main goroutine, and the runtime's own
}

// stuck asks the runtime for goroutines that can never go on; 0 where it does not tell.
func stuck() (n int, stacks string) {
	p := pprof.Lookup("goroutineleak")
	if p == nil {
		return 0, ""
	}
	var b bytes.Buffer
	if p.WriteTo(&b, 1) != nil {
		return 0, ""
	}
	return p.Count(), b.String()
}
