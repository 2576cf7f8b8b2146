package guard_test

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/guard"
)

func TestLastByteIsOfEitherDirectionAndTellsWhetherAnAnswerIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := guard.Wrap(ours, guard.Options{})
		defer c.Close()
		wants := func(when string, ago time.Duration, missing bool) {
			t.Helper()
			at, waiting := c.LastByte()
			if since := time.Since(at); since != ago || waiting != missing {
				t.Errorf("%s: the last byte was %v ago, missing an answer %v; want %v, %v", when, since, waiting, ago, missing)
			}
		}
		time.Sleep(time.Second)
		wants("before the first byte", time.Second, false)
		go func() { _, _ = io.ReadFull(theirs, make([]byte, 3)) }()
		if _, err := c.Write([]byte("ask")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		wants("after the question", 2*time.Second, true)
		go func() { _, _ = theirs.Write([]byte("yes")) }()
		if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		wants("after the answer", 3*time.Second, false)
	})
}

func TestLastReceivedIsNotMovedByWhatIsSentNorForgottenWithAnExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := guard.Wrap(ours, guard.Options{})
		defer c.Close()
		if at := c.LastReceived(); !at.IsZero() {
			t.Errorf("before the first byte it was %v", at)
		}
		go func() { _, _ = theirs.Write([]byte("yes")) }()
		if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		came := time.Now()
		time.Sleep(time.Second)
		go func() { _, _ = io.ReadFull(theirs, make([]byte, 3)) }()
		if _, err := c.Write([]byte("ask")); err != nil {
			t.Fatal(err)
		}
		c.Begin()
		if at := c.LastReceived(); !at.Equal(came) {
			t.Errorf("it was %v, and is told as %v", came, at)
		}
	})
}

func TestEarlyWritesAreCountedUpToTheEighth(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := guard.Wrap(ours, guard.Options{})
	defer c.Close()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	for i := range 20 {
		if n := c.EarlyWrites(); n != min(i, 8) {
			t.Fatalf("after %d writes: %d", i, n)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
}
