package herzpgx

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"herz.example/herz/guard"
)

func TestAnswerToAPingThatComesAfterTheConnectionWasGivenUpIsNone(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	g := guard.Wrap(near, guard.Options{})
	c := &checker{limit: 20 * time.Millisecond, start: time.Now().Add(-time.Hour)}
	err := c.check(t.Context(), g, time.Minute, func(context.Context) error {
		for !g.Dead() {
			runtime.Gosched()
		}
		return nil
	})
	if err == nil {
		t.Error("a connection that was cut is lent")
	}
}
