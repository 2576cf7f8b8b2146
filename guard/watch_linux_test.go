package guard_test

import (
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// latencies measures n times how long it takes from end's return to the call of OnDeath.
func latencies(t testing.TB, n int, want conn.Cause, end func(*net.TCPConn)) []time.Duration {
	t.Helper()
	ln := listen(t, "tcp", "127.0.0.1:0")
	took := make([]time.Duration, 0, n)
	for range n {
		nc, g, s := dialTo(t, ln, guard.Options{})
		told := make(chan conn.Death, 1)
		var at atomic.Int64
		start := time.Now()
		g.OnDeath(func(d conn.Death) {
			at.Store(int64(time.Since(start)))
			told <- d
		})
		if g.Dead() {
			t.Fatal("dead before its peer left")
		}
		before := time.Since(start)
		end(s.(*net.TCPConn))
		timer := time.NewTimer(5 * time.Second)
		select {
		case d := <-told:
			if d.Cause != want || !g.Dead() {
				t.Fatalf("death %v, want %v", d, want)
			}
		case <-timer.C:
			t.Fatal("the death of an idle connection was not told of within 5 s")
		}
		timer.Stop()
		took = append(took, time.Duration(at.Load())-before)
		nc.Close()
	}
	slices.Sort(took)
	return took
}

// A peer that closes or resets an idle connection is known to be gone at once, without a look at the socket.
func TestPeerThatLeavesIsKnownAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name string
		want conn.Cause
		end  func(*net.TCPConn)
	}{
		{"FIN", conn.PeerFIN, func(s *net.TCPConn) { s.Close() }},
		{"RST", conn.PeerRST, func(s *net.TCPConn) { s.SetLinger(0); s.Close() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			took := latencies(t, 200, tc.want, tc.end)
			t.Log(tc.name, spread(took))
			if p50 := percentile(took, 50); p50 > 20*time.Millisecond { // the exact figure is the benchmark's
				t.Errorf("%s: p50 %v", tc.name, p50)
			}
		})
	}
}

// When a server restarts, all its peers leave in the same instant; every death is told of.
func TestManyPeersLeaveAtOnce(t *testing.T) {
	const n = 200
	ln := listen(t, "tcp", "127.0.0.1:0")
	var told atomic.Int32
	servers := make([]net.Conn, n)
	for i := range n {
		_, g, s := dialTo(t, ln, guard.Options{})
		g.OnDeath(func(conn.Death) { told.Add(1) })
		servers[i] = s
	}
	for _, s := range servers {
		s.Close()
	}
	eventually(t, "every death is told of", func() bool { return told.Load() == n })
}

// Data never wakes the watcher: a busy connection pays nothing for being watched.
func TestDataDoesNotWakeTheWatcher(t *testing.T) {
	nc, g, s := pair(t, guard.Options{})
	if !g.Capabilities().Watcher {
		t.Fatal("not watched")
	}
	before := guard.Wakeups()
	go io.Copy(s, s)
	one := make([]byte, 1)
	for range 50_000 {
		if _, err := nc.Write(one); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Read(one); err != nil {
			t.Fatal(err)
		}
	}
	if n := guard.Wakeups() - before; n != 0 {
		t.Errorf("%d wake-ups by 50,000 round trips, want 0", n)
	}
}

// A duplicate of a descriptor keeps its registration alive after Close. The next connection that gets the same descriptor
// number must not be declared dead by it.
func TestEventOfAnOldDescriptorHarmsNobody(t *testing.T) {
	keep, _, _ := pair(t, guard.Options{}) // the watcher stays the same one
	defer keep.Close()
	ln := listen(t, "tcp", "127.0.0.1:0")
	for range 50 {
		last, lastGuard, lastServer := dialTo(t, ln, guard.Options{})
		nc, old, s := dialTo(t, ln, guard.Options{})
		number := descriptor(t, old.Inner())
		dup, err := nc.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		old.Inner().Close() // behind the guard's back: the registration stays, held by the duplicate
		nc2, g2, _ := dialTo(t, ln, guard.Options{})
		reused := descriptor(t, g2.Inner()) == number
		before := guard.Wakeups()
		s.Close() // an event for the old registration
		eventually(t, "the watcher is woken", func() bool { return guard.Wakeups() > before })
		lastServer.Close() // the watcher takes one event after the other: when this one is known, that one is over
		eventually(t, "the next event is dealt with", lastGuard.Dead)
		last.Close()
		if g2.Dead() {
			d, _ := g2.Death()
			t.Fatalf("a healthy connection was declared dead by the event of another: %v", d)
		}
		dup.Close()
		nc.Close()
		nc2.Close()
		if reused {
			return
		}
	}
	t.Fatal("the kernel never gave the same descriptor number again: nothing was tested")
}

func descriptor(t *testing.T, nc net.Conn) (n uintptr) {
	t.Helper()
	if err := must(nc.(*net.TCPConn).SyscallConn()).Control(func(fd uintptr) { n = fd }); err != nil {
		t.Fatal(err)
	}
	return n
}

// What the peer said before it left is delivered, in full, although the connection is known to be dead.
func TestLastBytesAreDeliveredAfterFIN(t *testing.T) {
	nc, g, s := pair(t, guard.Options{})
	words := strings.Repeat("last words ", 1000)
	io.WriteString(s, words)
	s.Close()
	eventually(t, "death is known", g.Dead)
	d, _ := g.Death()
	if d.Cause != conn.PeerFIN || !strings.Contains(d.Detail, "last words") {
		t.Errorf("death %v does not tell the last words", d)
	}
	got, err := io.ReadAll(nc)
	if string(got) != words || err != nil {
		t.Errorf("got %d bytes and %v, want all %d and a clean end", len(got), err, len(words))
	}
}

// Our own CloseRead looks to the kernel like the peer's FIN; it is no death.
func TestOwnCloseReadIsNoDeath(t *testing.T) {
	nc, g, s := pair(t, guard.Options{})
	if err := nc.(interface{ CloseRead() error }).CloseRead(); err != nil {
		t.Fatal(err)
	}
	quiet()
	if _, err := nc.Write([]byte("x")); err != nil || g.Dead() {
		d, _ := g.Death()
		t.Fatalf("write after CloseRead: %v, %v", err, d)
	}
	s.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// The watcher lives from the first socket to the last, and connections that are no sockets never start it.
func TestWatcherStartsForSocketsOnly(t *testing.T) {
	eventually(t, "the watcher of earlier tests has ended", func() bool { return !guard.Watching() })
	a, b := net.Pipe()
	defer b.Close()
	p := guard.Wrap(a, guard.Options{})
	if guard.Watching() || p.Capabilities().Watcher {
		t.Error("net.Pipe started the watcher")
	}
	p.Close()
	nc, g, _ := pair(t, guard.Options{})
	if !guard.Watching() || !g.Capabilities().Watcher {
		t.Error("a socket did not start the watcher")
	}
	nc.Close()
	if guard.Watching() {
		t.Error("the watcher outlived the last socket")
	}
}

// In a synctest bubble nothing of ours is started, not even for a real socket, and time is the bubble's.
func TestBubbleStartsNothing(t *testing.T) {
	eventually(t, "the watcher and the sweep of earlier tests have ended", func() bool { return !guard.Watching() && !guard.Sweeping() })
	synctest.Test(t, func(t *testing.T) {
		nc, g, s := pair(t, guard.Options{})
		if guard.Watching() || g.Capabilities().Watcher || g.Capabilities().Sweep {
			t.Error("a socket in a bubble started the watcher or the sweep")
		}
		nc.Write([]byte("x"))
		io.ReadFull(s, make([]byte, 1))
		if guard.Sweeping() {
			t.Error("an exchange in a bubble started the sweep")
		}
		s.Close()
		nc.Read(make([]byte, 1))
		if !g.Dead() {
			t.Error("the end of the stream was not recorded")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		g := guard.Wrap(a, guard.Options{})
		time.Sleep(time.Hour)
		b.Close()
		g.Read(make([]byte, 1))
		if d, _ := g.Death(); d.Age != time.Hour || d.Cause != conn.PeerFIN {
			t.Errorf("death %v, want one by PeerFIN at the age of 1 h", d)
		}
		g.Close()
	})
}
