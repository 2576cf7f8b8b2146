package guard_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// Every kind of connection tells truly what is seen on it, works, and learns of its peer's end.
func TestCapabilities(t *testing.T) {
	full := guard.Capabilities{Watcher: true, Poll: true, TCPInfo: true, Sweep: true, KeepAlive: true, HalfClose: true}
	socket := guard.Capabilities{Watcher: true, Poll: true, HalfClose: true}
	tcp := func(network, addr string) func(*testing.T) (net.Conn, net.Conn) {
		return func(t *testing.T) (net.Conn, net.Conn) {
			nc, _, s := dialTo(t, listen(t, network, addr), guard.SQL)
			return nc, s
		}
	}
	for _, tc := range []struct {
		name string
		want guard.Capabilities
		dial func(*testing.T) (net.Conn, net.Conn)
	}{
		{"IPv4", full, tcp("tcp", "127.0.0.1:0")},
		{"IPv6", full, tcp("tcp", "[::1]:0")},
		{"UNIX", socket, func(t *testing.T) (net.Conn, net.Conn) { return tcp("unix", filepath.Join(t.TempDir(), "s"))(t) }},
		{"net.Pipe", guard.Capabilities{}, func(*testing.T) (net.Conn, net.Conn) {
			a, b := net.Pipe()
			return guard.Wrap(a, guard.SQL).Surface(), b
		}},
		{"a wrapped socket", full, func(t *testing.T) (net.Conn, net.Conn) {
			ln := listen(t, "tcp", "127.0.0.1:0")
			nc := must(new(net.Dialer).DialContext(context.Background(), "tcp", ln.Addr().String()))
			return guard.Wrap(struct{ *net.TCPConn }{nc.(*net.TCPConn)}, guard.SQL).Surface(), must(ln.Accept())
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nc, s := tc.dial(t)
			defer nc.Close()
			g, _ := guard.From(nc)
			if got := g.Capabilities(); got != tc.want {
				t.Errorf("capabilities %+v, want %+v", got, tc.want)
			}
			go io.Copy(s, s)
			if _, err := io.WriteString(nc, "echo"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(nc, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			quiet()
			if err := g.Alive(); err != nil {
				t.Errorf("a healthy connection is not alive: %v", err)
			}
			s.Close()
			if tc.want.Watcher {
				eventually(t, "death is known", g.Dead)
			}
			if err := readByte(nc); err == nil || !g.Dead() {
				t.Errorf("read after the peer's end: %v, dead %v", err, g.Dead())
			}
			if d, _ := g.Death(); d.Cause != conn.PeerFIN {
				t.Errorf("death %v", d)
			}
		})
	}
}
