package herztest_test

import (
	"runtime/pprof"
	"strings"
	"testing"

	"herz.example/herz/herztest"
)

func end(p *probe) {
	for _, f := range p.cleanups {
		f()
	}
}

func TestGoroutineThatIsStillThereFailsTheTestAndNamesItsPlace(t *testing.T) {
	inner := &probe{TB: t}
	herztest.VerifyNoGoroutines(inner)
	stop, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		<-stop
	}()
	end(inner)
	if len(inner.errors) != 1 || !strings.Contains(inner.errors[0], "TestGoroutineThatIsStillThere") {
		t.Errorf("a goroutine is there and the test was told %q", inner.errors)
	}
	close(stop)
	<-gone
}

func TestGoroutinesThatWereThereBeforeOrHaveEndedAreNoFault(t *testing.T) {
	stop, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		<-stop
	}()
	inner := &probe{TB: t}
	herztest.VerifyNoGoroutines(inner)
	for range 10 {
		done := make(chan struct{})
		go close(done)
		<-done
	}
	end(inner)
	if len(inner.errors) != 0 {
		t.Errorf("nothing was left and the test was told %q", inner.errors)
	}
	close(stop)
	<-gone
}

func TestRuntimeIsAskedWhoCanNeverGoOn(t *testing.T) {
	if pprof.Lookup("goroutineleak") == nil {
		t.Log("built without GOEXPERIMENT=goroutineleakprofile: only what VerifyNoGoroutines compares itself is tested")
		return
	}
	inner := &probe{TB: t}
	loseOne()
	herztest.VerifyNoGoroutines(inner) // it was there before, so that only the runtime tells
	end(inner)
	if len(inner.errors) != 1 || !strings.Contains(inner.errors[0], "nobody can reach") {
		t.Errorf("a goroutine that can never go on: the test was told %q", inner.errors)
	}
}

// loseOne begins a goroutine that stays for ever, to the end of the process.
//
//go:noinline
func loseOne() {
	begun := make(chan struct{})
	go func() {
		close(begun)
		<-make(chan struct{})
	}()
	<-begun
}
