package pool

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/guard"
)

// The pool never lends what it knows to be dead, so the test moves the time of the loan instead.
func TestConnectionThatWasDeadWhenItWasLentIsCounted(t *testing.T) {
	for name, after := range map[string]bool{"died before its loan": true, "died in its user's hands": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { lendDead(t, after) })
		})
	}
}

func lendDead(t *testing.T, after bool) {
	near, far := net.Pipe()
	p, err := New(Config[*guard.Conn]{
		Dial: func(context.Context) (*guard.Conn, error) { return guard.Wrap(near, guard.Options{}), nil }, Guard: func(c *guard.Conn) *guard.Conn { return c },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l, err := p.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	_ = far.Close()
	if _, err = l.Value().Read(make([]byte, 1)); err == nil {
		t.Fatal("the peer has left and nothing says so")
	}
	if after {
		time.Sleep(time.Millisecond) // the socket is older than the connection by as much as the dial took
		l.e.stamp.Store(p.exact())
	}
	l.Discard(nil)
	if n := p.Stats().DeadLent; (n == 1) != after {
		t.Errorf("%d connections were lent dead", n)
	}
}
