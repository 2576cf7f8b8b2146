package guard_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

var sink bool

// BenchmarkDeadFlag is what a pool pays at each loan. It must be at most 2 ns.
func BenchmarkDeadFlag(b *testing.B) {
	_, g, _ := pair(b, guard.Options{})
	b.ReportAllocs()
	for b.Loop() {
		sink = g.Dead()
	}
}

// BenchmarkAliveFresh is Alive of a connection that was used less than ProbeAfter ago.
func BenchmarkAliveFresh(b *testing.B) {
	_, g, _ := pair(b, guard.Options{ProbeAfter: guard.DefaultHeartbeatTimeout - 1})
	b.ReportAllocs()
	for b.Loop() {
		sink = g.Alive() == nil
	}
}

// BenchmarkAlivePoll is Alive of a connection that was silent: the kernel is asked. It must be at most 600 ns and 0
// allocations.
func BenchmarkAlivePoll(b *testing.B) {
	_, g, _ := pair(b, guard.Options{ProbeAfter: 1})
	b.ReportAllocs()
	for b.Loop() {
		if g.Alive() != nil {
			b.Fatal("dead")
		}
	}
}

// BenchmarkReadWrite is one byte there and back over loopback, plain and guarded.
func BenchmarkReadWrite(b *testing.B) {
	for _, name := range []string{"plain", "guarded"} {
		b.Run(name, func(b *testing.B) {
			ln := listen(b, "tcp", "127.0.0.1:0")
			nc, g, s := dialTo(b, ln, guard.Options{})
			if name == "plain" {
				nc = g.Inner()
			}
			go io.Copy(struct{ io.Writer }{s}, s)
			one := make([]byte, 1)
			b.ReportAllocs()
			for b.Loop() {
				nc.Write(one)
				nc.Read(one)
			}
		})
	}
}

// BenchmarkOverhead is what the guard adds to a Write and a Read, without a kernel under them.
func BenchmarkOverhead(b *testing.B) {
	for _, name := range []string{"plain", "guarded"} {
		b.Run(name, func(b *testing.B) {
			nc := net.Conn(nullConn{})
			if name == "guarded" {
				g := guard.Wrap(nc, guard.Options{})
				defer g.Close()
				nc = g.Surface()
			}
			one := make([]byte, 1)
			b.ReportAllocs()
			for b.Loop() {
				nc.Write(one)
				nc.Read(one)
			}
		})
	}
}

type nullConn struct{ net.Conn }

func (nullConn) Read(b []byte) (int, error)  { return len(b), nil }
func (nullConn) Write(b []byte) (int, error) { return len(b), nil }
func (nullConn) Close() error                { return nil }
func (nullConn) LocalAddr() net.Addr         { return nil }
func (nullConn) RemoteAddr() net.Addr        { return nil }

// BenchmarkDeath is the time from the peer's end of an idle connection to the call of OnDeath.
func BenchmarkDeath(b *testing.B) {
	for _, tc := range []struct {
		name string
		want conn.Cause
		end  func(*net.TCPConn)
	}{
		{"FIN", conn.PeerFIN, func(s *net.TCPConn) { s.Close() }},
		{"RST", conn.PeerRST, func(s *net.TCPConn) { s.SetLinger(0); s.Close() }},
	} {
		b.Run(tc.name, func(b *testing.B) {
			took := latencies(b, max(b.N, 100), tc.want, tc.end)
			b.ReportMetric(float64(percentile(took, 50).Nanoseconds())/1e3, "p50-µs")
			b.ReportMetric(float64(percentile(took, 99).Nanoseconds())/1e3, "p99-µs")
			b.ReportMetric(float64(took[len(took)-1].Nanoseconds())/1e3, "max-µs")
		})
	}
}

// BenchmarkDial is a dial and a close, plain and guarded, in a process that has connections already.
func BenchmarkDial(b *testing.B) {
	ln := listen(b, "tcp", "127.0.0.1:0")
	go func() {
		for {
			s, err := ln.Accept()
			if err != nil {
				return
			}
			s.Close()
		}
	}()
	open, _, _ := pair(b, guard.Options{}) // the watcher runs, as in any process that has connections
	defer open.Close()
	var plain net.Dialer
	var guarded guard.Dialer
	for _, tc := range []struct {
		name string
		dial func(context.Context, string, string) (net.Conn, error)
	}{{"plain", plain.DialContext}, {"guarded", guarded.DialContext}} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				nc, err := tc.dial(b.Context(), "tcp", ln.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				nc.Close()
			}
		})
	}
}

// Reading, writing and asking allocate nothing.
func TestNothingIsAllocated(t *testing.T) {
	nc, g, s := pair(t, guard.Options{ProbeAfter: time.Nanosecond})
	go io.Copy(struct{ io.Writer }{s}, s)
	one := make([]byte, 1)
	for name, f := range map[string]func(){
		"Dead":  func() { sink = g.Dead() },
		"Alive": func() { sink = g.Alive() == nil },
		"Begin": func() { g.Begin(); sink = g.Delivery() == conn.NothingSent },
		"Write and Read": func() {
			nc.Write(one)
			nc.Read(one)
		},
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 && !raceEnabled {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}
