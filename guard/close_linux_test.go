package guard_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"herz.example/herz/guard"
)

// A planned close with unread bytes shows the peer the end of the stream and no reset, so that what we sent last arrives.
func TestPlannedCloseIsNoReset(t *testing.T) {
	for name, end := range map[string]func(*guard.Conn) error{
		"Shutdown": func(g *guard.Conn) error { return g.Shutdown(context.Background()) },
		"Close":    (*guard.Conn).Close,
	} {
		t.Run(name, func(t *testing.T) {
			nc, g, s := pair(t, guard.SQL)
			io.WriteString(s, strings.Repeat("goodbye, unread ", 4096))
			if err := readByte(nc); err != nil { // more has come, and stays unread
				t.Fatal(err)
			}
			io.WriteString(nc, "last words")
			done := make(chan error, 1)
			go func() { done <- end(g) }()
			s.SetReadDeadline(time.Now().Add(5 * time.Second))
			got, err := io.ReadAll(s)
			if string(got) != "last words" || err != nil {
				t.Errorf("the peer got %q and %v, want everything and a clean end", got, err)
			}
			s.Close()
			if err = <-done; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}
