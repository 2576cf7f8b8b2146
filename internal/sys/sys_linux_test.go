package sys_test

import (
	"context"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/internal/sys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); s.Close() })
	return nc.(*net.TCPConn), s.(*net.TCPConn)
}

// on runs f with the descriptor of c.
func on(t *testing.T, c syscall.Conn, f func(fd uintptr)) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(f)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func poll(t *testing.T, c syscall.Conn) (r sys.Ready) {
	t.Helper()
	on(t, c, func(fd uintptr) { r = sys.Poll(fd) })
	return r
}

func state(t *testing.T, c syscall.Conn) (s sys.State) {
	t.Helper()
	on(t, c, func(fd uintptr) {
		info, ok := sys.TCPInfo(fd)
		if !ok {
			t.Error("no TCP_INFO of a TCP socket")
		}
		s = info.State
	})
	return s
}

func settle() { time.Sleep(10 * time.Millisecond) }

// What the kernel shows of each state of a connection. The guard's decisions rest on this table.
func TestWhatTheKernelShows(t *testing.T) {
	for _, tc := range []struct {
		name  string
		do    func(c, s *net.TCPConn)
		ready sys.Ready
		state sys.State
	}{
		{"open", func(_, _ *net.TCPConn) {}, 0, sys.Established},
		{"unread byte", func(_, s *net.TCPConn) { io.WriteString(s, "x") }, sys.In, sys.Established},
		{"peer closed", func(_, s *net.TCPConn) { s.Close() }, sys.In | sys.ReadHup, sys.CloseWait},
		{"unread byte, then peer closed", func(_, s *net.TCPConn) { io.WriteString(s, "x"); s.Close() }, sys.In | sys.ReadHup, sys.CloseWait},
		{"peer reset", func(_, s *net.TCPConn) { s.SetLinger(0); s.Close() }, sys.In | sys.ReadHup | sys.Hup | sys.Err, sys.Closed},
		{"we half-closed", func(c, _ *net.TCPConn) { c.CloseWrite() }, 0, sys.FinWait2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, s := pair(t)
			tc.do(c, s)
			settle()
			if r := poll(t, c); r != tc.ready {
				t.Errorf("poll shows %b, want %b", r, tc.ready)
			}
			if st := state(t, c); st != tc.state {
				t.Errorf("TCP_INFO shows state %d, want %d", st, tc.state)
			}
		})
	}
	if r := sys.Poll(1 << 30); r&sys.Gone == 0 {
		t.Errorf("poll of no descriptor shows %b", r)
	}
}

// Looking takes nothing away from the reader.
func TestPeekLeavesEverything(t *testing.T) {
	c, s := pair(t)
	io.WriteString(s, "words")
	s.Close()
	settle()
	b := make([]byte, 3)
	on(t, c, func(fd uintptr) {
		if n, errno := sys.Peek(fd, b); n != 3 || errno != 0 || string(b) != "wor" {
			t.Errorf("peek: %d, %v, %q", n, errno, b)
		}
	})
	if got, err := io.ReadAll(c); string(got) != "words" || err != nil {
		t.Errorf("read after peek: %q, %v", got, err)
	}
	c, s = pair(t)
	on(t, c, func(fd uintptr) {
		if n, errno := sys.Peek(fd, b); n != 0 || errno != 0 {
			t.Errorf("peek at nothing: %d, %v", n, errno)
		}
	})
	s.SetLinger(0)
	s.Close()
	settle()
	on(t, c, func(fd uintptr) {
		if n, errno := sys.Peek(fd, b); n != 0 || errno != syscall.ECONNRESET {
			t.Errorf("peek at a reset: %d, %v", n, errno)
		}
	})
}

// Discard takes what is there, and no more than asked.
func TestDiscardIsBounded(t *testing.T) {
	c, s := pair(t)
	s.Write(make([]byte, 10_000))
	settle()
	on(t, c, func(fd uintptr) {
		if n := sys.Discard(fd, 4_000); n != 4_000 {
			t.Errorf("discarded %d, want 4000", n)
		}
		if n := sys.Discard(fd, 1<<20); n != 6_000 {
			t.Errorf("discarded %d, want the other 6000", n)
		}
		if n := sys.Discard(fd, 1<<20); n != 0 {
			t.Errorf("discarded %d of nothing", n)
		}
	})
}

// Keep-alive is read back as it was set.
func TestKeepAliveIsReadBack(t *testing.T) {
	c, _ := pair(t)
	on(t, c, func(fd uintptr) {
		for _, want := range []sys.KeepAlive{{On: true, Idle: 1, Interval: 1, Count: 2}, {On: true, Idle: 30, Interval: 5, Count: 4}} {
			if err := sys.SetKeepAlive(fd, want); err != nil {
				t.Fatal(err)
			}
			if got, err := sys.GetKeepAlive(fd); got != want || err != nil {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		}
		if err := sys.SetKeepAlive(fd, sys.KeepAlive{}); err != nil {
			t.Fatal(err)
		}
		if got, _ := sys.GetKeepAlive(fd); got.On {
			t.Error("keep-alive is still on")
		}
		if err := sys.CapRTO(fd, time.Second); err == nil && sys.CapRTO(fd, 0) != nil {
			t.Error("a bound of retransmission was set and cannot be lifted")
		}
	})
}

// A descriptor is told for what it is.
func TestKindOfDescriptors(t *testing.T) {
	c, _ := pair(t)
	udp, err := new(net.Dialer).DialContext(t.Context(), "udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	file, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, tc := range []struct {
		name string
		of   syscall.Conn
		want sys.Kind
	}{
		{"TCP", c, sys.Kind{Stream: true, TCP: true}},
		{"UDP", udp.(*net.UDPConn), sys.Kind{}},
		{"file", file, sys.Kind{}},
	} {
		on(t, tc.of, func(fd uintptr) {
			if k := sys.KindOf(fd); k != tc.want {
				t.Errorf("%s: %+v, want %+v", tc.name, k, tc.want)
			}
		})
	}
}

// The set tells of the end of a peer by the 64-bit id, of data never, and of nothing after Del; its callback may close it.
func TestEventsTellOfDeathOnly(t *testing.T) {
	set, err := sys.NewEvents()
	if err != nil {
		t.Fatal(err)
	}
	type event struct {
		id   uint64
		what sys.Ready
	}
	events := make(chan event, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		set.Run(func(id uint64, what sys.Ready) {
			events <- event{id, what}
			if id == 3 {
				set.Close()
			}
		})
	}()
	const big = 1<<63 | 1<<33 | 7
	c1, s1 := pair(t)
	c2, s2 := pair(t)
	c3, s3 := pair(t)
	on(t, c1, func(fd uintptr) { err = set.Add(fd, big) })
	on(t, c2, func(fd uintptr) {
		if e := set.Add(fd, 2); e != nil {
			err = e
		}
		set.Del(fd)
	})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(s1, "data")
	s2.Close()
	settle()
	if len(events) != 0 {
		t.Errorf("told of %v, want silence", <-events)
	}
	s1.Close()
	if e := <-events; e.id != big || e.what&sys.ReadHup == 0 {
		t.Errorf("told of %+v", e)
	}
	s3.Close()
	settle()
	on(t, c3, func(fd uintptr) { err = set.Add(fd, 3) }) // dead before it was added: told all the same
	if e := <-events; err != nil || e.id != 3 {
		t.Errorf("told of %+v, %v", e, err)
	}
	<-done
	if set.Add(0, 4) == nil {
		t.Error("a closed set takes sockets")
	}
}
