package guard_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// A write into a connection that the peer has left is refused, and not one byte arrives at the peer.
func TestRefusedWriteSendsNothing(t *testing.T) {
	for _, silence := range []time.Duration{0, 2 * guard.DefaultProbeAfter} {
		nc, g, s := pair(t, guard.SQL)
		ask(t, nc, s)
		answer(t, nc, s)
		s.CloseWrite() // the peer can still receive, and so can prove that nothing came
		eventually(t, "death is known", func() bool { return g.Dead() || !g.Capabilities().Watcher })
		time.Sleep(silence)
		g.Begin()
		n, err := nc.Write([]byte("never sent"))
		d := wantDead(t, err, conn.PeerFIN, true)
		if n != 0 || d.BytesSent != 0 || g.Delivery() != conn.NothingSent {
			t.Errorf("n %d, bytes sent %d, delivery %v", n, d.BytesSent, g.Delivery())
		}
		g.SetPool("orders")
		nc.Close()
		got, _ := io.ReadAll(s)
		if len(got) != 0 {
			t.Errorf("the peer received %q", got)
		}
	}
}

// Inside an exchange that has begun, a refusal does not claim that it is safe to repeat.
func TestRefusalInATransactionIsNotSafeToRetry(t *testing.T) {
	nc, g, s := pair(t, guard.SQL)
	g.Begin()
	ask(t, nc, s) // BEGIN
	answer(t, nc, s)
	s.CloseWrite()
	eventually(t, "death is known", func() bool { return g.Alive() != nil })
	quiet()
	_, err := nc.Write([]byte("INSERT"))
	wantDead(t, err, conn.PeerFIN, false)
}

// Inside a pipeline, whose first part left without an answer, a refusal is ambiguous.
func TestRefusalInAPipelineIsAmbiguous(t *testing.T) {
	nc, g, s := pair(t, guard.SQL)
	g.Begin()
	ask(t, nc, s)
	s.CloseWrite()
	eventually(t, "death is known", g.Dead)
	quiet()
	n, err := nc.Write([]byte("second part"))
	if a := wantAmbiguous(t, err, conn.PeerFIN, 0); n != 0 || a.BytesSent != 7 {
		t.Errorf("n %d, bytes sent %d, want 0 and 7", n, a.BytesSent)
	}
}

// With ImplicitBegin a write after an answer is a request of its own.
func TestImplicitBeginMakesRefusalSafe(t *testing.T) {
	nc, g, s := pair(t, guard.Options{ImplicitBegin: true})
	ask(t, nc, s)
	answer(t, nc, s)
	s.CloseWrite()
	eventually(t, "death is known", g.Dead)
	_, err := nc.Write([]byte("INCR"))
	wantDead(t, err, conn.PeerFIN, true)
}

// What goes through ReadFrom and WriteTo is refused and counted as what goes through Read and Write.
func TestCopiesAreCountedAndRefused(t *testing.T) {
	nc, g, s := pair(t, guard.Options{})
	g.Begin()
	file := must(os.Open(os.Args[0])) // any file, so that the kernel copies
	defer file.Close()
	const size = 1 << 16
	received := make(chan int64, 1)
	go func() {
		n, _ := io.CopyN(io.Discard, s, size)
		received <- n
	}()
	if n, err := nc.(io.ReaderFrom).ReadFrom(io.LimitReader(file, size)); n != size || err != nil {
		t.Fatalf("ReadFrom: %d, %v", n, err)
	}
	if n := <-received; n != size || g.Delivery() != conn.MaybeSent {
		t.Errorf("the peer got %d, delivery %v", n, g.Delivery())
	}
	io.WriteString(s, "answer")
	s.CloseWrite()
	var b bytes.Buffer
	if n, err := nc.(io.WriterTo).WriteTo(&b); n != 6 || err != nil || b.String() != "answer" {
		t.Errorf("WriteTo: %d, %v, %q", n, err, &b)
	}
	if g.Delivery() != conn.Answered {
		t.Errorf("delivery %v", g.Delivery())
	}
	g.Begin()
	n, err := nc.(io.ReaderFrom).ReadFrom(strings.NewReader("never sent"))
	wantDead(t, err, conn.PeerFIN, true)
	nc.Close()
	if rest, _ := io.ReadAll(s); n != 0 || len(rest) != 0 {
		t.Errorf("n %d, and the peer received %q", n, rest)
	}
}
