package conn_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"herz.example/herz/conn"
)

func TestFirstUnknownNumberIsNamedAndDoesNotPanic(t *testing.T) {
	s, c := conn.State(len(conn.States())), conn.Cause(len(conn.Causes()))
	if got, want := s.String(), fmt.Sprintf("state(%d)", uint8(s)); got != want {
		t.Errorf("the state after the last is called %q, want %q", got, want)
	}
	want := fmt.Sprintf("cause(%d)", uint8(c))
	if got := c.String(); got != want {
		t.Errorf("the cause after the last is called %q, want %q", got, want)
	}
	if got := c.Sentence(); got != want {
		t.Errorf("the cause after the last is described as %q, want %q", got, want)
	}
}

func TestDeathSaysNothingOfWhatIsNotKnown(t *testing.T) {
	d := conn.Death{ID: 7, Cause: conn.Evicted, Age: 2 * time.Second}
	const want = "connection #7: an operator evicted it (evicted; age 2s, idle 0s, 0 bytes of the request sent)"
	if got := d.String(); got != want {
		t.Errorf("a death of which little is known is told as\n%q, want\n%q", got, want)
	}
}

func TestDeathSaysEveryErrorOfTheKernel(t *testing.T) {
	for _, no := range []syscall.Errno{1, 2, syscall.ETIMEDOUT} {
		if got := (conn.Death{Errno: no}).String(); !strings.Contains(got, no.Error()) {
			t.Errorf("%q is missing in %q", no.Error(), got)
		}
	}
}
