package script

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/cmd/herz/internal/demo/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told is what a fault of the tests notes.
type told struct {
	begun, ticked, ended int
	changes              []Event
}

func (n *told) fault(begin error) Event {
	return Event{
		Fault: Fault{
			Name:  "test",
			begin: func(Stage) error { n.begun++; return begin },
			tick:  func(Stage, time.Duration) { n.ticked++ },
			end:   func(Stage) { n.ended++ },
		},
		Start: time.Second, End: 2 * time.Second, State: Coming,
	}
}

func (n *told) run(ctx context.Context, e Event) {
	p := Plan{Events: []Event{e}, Length: 3 * time.Second}
	Run(ctx, Stage{Gate: &load.Gate{}}, p, time.Now(), func(_ int, e Event) { n.changes = append(n.changes, e) })
}

func TestAFaultBeginsAndEndsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n told
		began := time.Now()
		n.run(t.Context(), n.fault(nil))
		if n.begun != 1 || n.ended != 1 || n.ticked != 20 || time.Since(began) != 3*time.Second {
			t.Fatalf("%+v after %v", n, time.Since(began))
		}
		if len(n.changes) != 2 || n.changes[0].State != Active || n.changes[1].State != Over || n.changes[1].End != 2*time.Second {
			t.Fatalf("%+v", n.changes)
		}
	})
}

func TestWhatTheKernelRefusesIsLeftOutWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n told
		n.run(t.Context(), n.fault(errors.New("not for you")))
		if n.ended != 0 || n.ticked != 0 || len(n.changes) != 1 || n.changes[0].State != LeftOut || n.changes[0].Why != "not for you" {
			t.Fatalf("%+v", n)
		}
	})
}

func TestAFaultThatLastsEndsWithTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1300*time.Millisecond)
		defer cancel()
		var n told
		began := time.Now()
		n.run(ctx, n.fault(nil))
		if n.begun != 1 || n.ended != 1 || time.Since(began) != 1300*time.Millisecond {
			t.Fatalf("%+v after %v", n, time.Since(began))
		}
	})
}
