package guard_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// ask sends a request and has the server read it.
func ask(t *testing.T, nc net.Conn, s net.Conn) {
	t.Helper()
	if _, err := io.WriteString(nc, "request"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
}

// answer sends part of an answer and has the client read it.
func answer(t *testing.T, nc net.Conn, s net.Conn) {
	t.Helper()
	io.WriteString(s, "part")
	if _, err := io.ReadFull(nc, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
}

func readByte(nc net.Conn) error {
	_, err := nc.Read(make([]byte, 1))
	return err
}

// wantAmbiguous checks the shape that keeps libraries from repeating.
func wantAmbiguous(t *testing.T, err error, cause conn.Cause, errno syscall.Errno) *guard.AmbiguousError {
	t.Helper()
	var a *guard.AmbiguousError
	if !errors.As(err, &a) {
		t.Fatalf("got %T %v, want an *AmbiguousError", err, err)
	}
	if !errors.Is(err, guard.ErrAmbiguous) || errors.Is(err, guard.ErrDead) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v: is ErrAmbiguous %v, ErrDead %v, EOF %v", err, errors.Is(err, guard.ErrAmbiguous), errors.Is(err, guard.ErrDead), errors.Is(err, io.EOF))
	}
	if a.Cause != cause || a.Errno != errno || (errno != 0 && !errors.Is(err, errno)) || errors.Is(err, syscall.EBADF) {
		t.Errorf("cause %v errno %v, want %v and %v", a.Cause, a.Errno, cause, errno)
	}
	if _, ok := err.(net.Error); ok {
		t.Error("it is a net.Error: go-redis would repeat the request")
	}
	if _, ok := err.(interface{ Unwrap() error }); ok {
		t.Error("it wraps something: a library could find io.EOF in it")
	}
	if _, ok := err.(interface{ Timeout() bool }); ok {
		t.Error("it has a method Timeout")
	}
	if _, ok := err.(interface{ RuntimeError() }); !ok {
		t.Error("it has no method RuntimeError: lib/pq would keep the connection")
	}
	if guard.SafeToRetry(err) || guard.SafeToRetry(fmt.Errorf("query: %w", err)) {
		t.Error("it says that it is safe to repeat")
	}
	return a
}

func wantDead(t *testing.T, err error, cause conn.Cause, safe bool) *guard.DeadError {
	t.Helper()
	var d *guard.DeadError
	if !errors.As(err, &d) {
		t.Fatalf("got %T %v, want a *DeadError", err, err)
	}
	var ne net.Error
	if !errors.As(err, &ne) || ne.Timeout() {
		t.Error("it must be a net.Error and no time-out")
	}
	if !errors.Is(err, guard.ErrDead) || errors.Is(err, guard.ErrAmbiguous) || errors.Is(err, net.ErrClosed) != cause.Ours() {
		t.Errorf("%v: is ErrDead %v, ErrAmbiguous %v, net.ErrClosed %v", err, errors.Is(err, guard.ErrDead), errors.Is(err, guard.ErrAmbiguous), errors.Is(err, net.ErrClosed))
	}
	if d.Cause != cause || guard.SafeToRetry(fmt.Errorf("query: %w", err)) != safe {
		t.Errorf("cause %v, safe %v; want %v, %v", d.Cause, guard.SafeToRetry(err), cause, safe)
	}
	return d
}

// The errors of the package's documentation, one by one, as seen by Read.
func TestReadErrors(t *testing.T) {
	fin := func(s *net.TCPConn) { s.Close() }
	rst := func(s *net.TCPConn) { s.SetLinger(0); s.Close() }
	for _, tc := range []struct {
		name    string
		o       guard.Options
		asked   bool
		partial bool
		end     func(*net.TCPConn)
		check   func(*testing.T, error)
	}{
		{"FIN while bytes are unanswered", guard.Options{}, true, false, fin, func(t *testing.T, err error) { wantAmbiguous(t, err, conn.PeerFIN, 0) }},
		{"RST while bytes are unanswered", guard.Options{}, true, false, rst, func(t *testing.T, err error) { wantAmbiguous(t, err, conn.PeerRST, syscall.ECONNRESET) }},
		{"FIN after part of an answer", guard.Options{}, true, true, fin, func(t *testing.T, err error) { wantPlain(t, err, io.EOF) }},
		{"RST after part of an answer", guard.Options{}, true, true, rst, func(t *testing.T, err error) { wantPlain(t, err, syscall.ECONNRESET) }},
		{"FIN after part of an answer, EOFNeverClean", guard.SQL, true, true, fin, func(t *testing.T, err error) { wantAmbiguous(t, err, conn.PeerFIN, 0) }},
		{"RST after part of an answer, EOFNeverClean", guard.Redis, true, true, rst, func(t *testing.T, err error) { wantAmbiguous(t, err, conn.PeerRST, syscall.ECONNRESET) }},
		{"FIN where nothing was written", guard.SQL, false, false, fin, func(t *testing.T, err error) { wantPlain(t, err, io.EOF) }},
		{"FIN, multiplexed", guard.Options{Multiplexed: true}, true, false, fin, func(t *testing.T, err error) { wantPlain(t, err, io.EOF) }},
		{"RST, multiplexed", guard.Options{Multiplexed: true}, true, false, rst, func(t *testing.T, err error) { wantPlain(t, err, syscall.ECONNRESET) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nc, g, s := pair(t, tc.o)
			g.Begin()
			if tc.asked {
				ask(t, nc, s)
			}
			if tc.partial {
				answer(t, nc, s)
			}
			tc.end(s)
			tc.check(t, readByte(nc))
			if !g.Dead() {
				t.Error("the death was not recorded")
			}
		})
	}
}

func wantPlain(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || errors.Is(err, guard.ErrAmbiguous) || errors.Is(err, guard.ErrDead) {
		t.Errorf("got %T %v, want %v unchanged", err, err, want)
	}
}

// A deadline is no death. It is passed on unchanged, or, for clients that repeat on it, as a time-out that is also ambiguous.
func TestDeadlines(t *testing.T) {
	for _, ambiguous := range []bool{false, true} {
		nc, g, s := pair(t, guard.Options{AmbiguousDeadlines: ambiguous})
		nc.SetReadDeadline(time.Now().Add(time.Millisecond))
		if err := readByte(nc); !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, guard.ErrAmbiguous) {
			t.Errorf("nothing was asked: %v", err)
		}
		ask(t, nc, s)
		nc.SetReadDeadline(time.Now().Add(time.Millisecond))
		err := readByte(nc)
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, guard.ErrAmbiguous) != ambiguous {
			t.Errorf("AmbiguousDeadlines %v: got %T %v", ambiguous, err, err)
		}
		var oe *net.OpError
		if !errors.As(err, &oe) || oe.Op != "read" || guard.SafeToRetry(err) {
			t.Errorf("AmbiguousDeadlines %v: %#v is no *net.OpError of a read", ambiguous, err)
		}
		var facts *guard.AmbiguousError
		if ambiguous && (!errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &facts) || facts.BytesSent != 7 || facts.Cause != conn.Timeout) {
			t.Errorf("%v: context.DeadlineExceeded %v, facts %+v", err, errors.Is(err, context.DeadlineExceeded), facts)
		}
		if g.Dead() {
			t.Error("a deadline was recorded as a death")
		}
		nc.Close()
		if d, _ := g.Death(); d.Cause != conn.Timeout {
			t.Errorf("closed after a deadline in the middle of an exchange: %v, want Timeout", d)
		}
	}
}

// Our own Close gives the error of the net package, to whoever reads or writes.
func TestOwnCloseIsUnchanged(t *testing.T) {
	nc, g, s := pair(t, guard.SQL)
	ask(t, nc, s)
	read := make(chan error, 1)
	go func() { read <- readByte(nc) }()
	readBlocks(t)
	nc.Close()
	wantPlain(t, <-read, net.ErrClosed)
	_, err := nc.Write([]byte("x"))
	wantPlain(t, err, net.ErrClosed)
	if err = nc.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	if d, ok := g.Death(); !ok || d.Cause != conn.Drained {
		t.Errorf("death %v %v", d, ok)
	}
}

// ReadError gives an adapter the last word on the shape.
func TestReadErrorGivesAnotherShape(t *testing.T) {
	shape := errors.New("another shape")
	nc, _, s := pair(t, guard.Options{ReadError: func(a *guard.AmbiguousError) error { return errors.Join(shape, a) }})
	ask(t, nc, s)
	s.Close()
	if err := readByte(nc); !errors.Is(err, shape) || !errors.Is(err, guard.ErrAmbiguous) {
		t.Errorf("got %v", err)
	}
}

// The text tells an operator what happened and what to change.
func TestErrorTextIsComplete(t *testing.T) {
	nc, g, s := pair(t, guard.SQL)
	g.SetPool("orders")
	g.Begin()
	ask(t, nc, s)
	s.Close()
	text := readByte(nc).Error()
	for _, want := range []string{
		fmt.Sprintf("#%d", g.ID()), s.LocalAddr().String(), `"orders"`, "the peer closed it", "age", "idle", "phase processing",
		"7 bytes of the request sent", "not safe to repeat", "hint:",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not say %q", text, want)
		}
	}
	if strings.Count(text, "herz/guard") != 1 {
		t.Errorf("%q: prefixed %d times", text, strings.Count(text, "herz/guard"))
	}
}

// SafeToRetry says no unless somebody proves it.
func TestSafeToRetryIsFalseByDefault(t *testing.T) {
	for _, err := range []error{nil, io.EOF, net.ErrClosed, errors.New("x"), guard.ErrDead, guard.ErrAmbiguous, &net.OpError{Op: "read", Err: io.EOF}} {
		if guard.SafeToRetry(err) {
			t.Errorf("SafeToRetry(%v) is true", err)
		}
	}
}
