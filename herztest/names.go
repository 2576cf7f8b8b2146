package herztest

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// NameServer answers for host names whose addresses a test decides and changes, over UDP on the loopback interface. What it answers may
// not be kept by anybody (time to live 0).
type NameServer struct {
	conn net.PacketConn
	done chan struct{}

	// mu guards what follows. Nothing is called under it.
	mu    sync.Mutex
	hosts map[string][]netip.Addr
	fails bool
	asked map[string]int

	// socks guards open. Nothing is called under it.
	socks sync.Mutex
	open  map[*asker]struct{} // sockets of resolvers; nil once the server has ended
}

// asker is the socket of a resolver. It ends with the server: what is still asked then gets no answer, and would wait for it for seconds.
type asker struct {
	*net.UDPConn

	of *NameServer
}

// Close closes the socket.
func (a *asker) Close() error {
	a.of.socks.Lock()
	delete(a.of.open, a)
	a.of.socks.Unlock()
	return a.UDPConn.Close()
}

var errEnded = errors.New("herztest: the name server has ended")

// NewNameServer starts a name server that ends with the test.
func NewNameServer(t testing.TB) *NameServer {
	t.Helper()
	var lc net.ListenConfig
	c, err := lc.ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("herztest: listen for the name server: %v", err)
	}
	s := &NameServer{conn: c, done: make(chan struct{}), hosts: map[string][]netip.Addr{}, asked: map[string]int{}, open: map[*asker]struct{}{}}
	go s.serve()
	t.Cleanup(s.end)
	return s
}

func (s *NameServer) end() {
	_ = s.conn.Close()
	<-s.done
	s.socks.Lock()
	left := s.open
	s.open = nil
	s.socks.Unlock()
	for a := range left {
		_ = a.UDPConn.Close()
	}
}

// Set says what a host name leads to from now on. Without addresses the name does not exist.
func (s *NameServer) Set(host string, addrs ...string) {
	set := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		set = append(set, netip.MustParseAddr(a))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[canonical(host)] = set
}

// Fail makes the server answer every question with a failure, or no longer.
func (s *NameServer) Fail(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = yes
}

// Asked is how often the IPv4 addresses of a name were asked for.
func (s *NameServer) Asked(host string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[canonical(host)]
}

// Resolver asks this server and nobody else.
func (s *NameServer) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		nc, err := d.DialContext(ctx, "udp", s.conn.LocalAddr().String())
		if err != nil {
			return nil, err
		}
		a := &asker{nc.(*net.UDPConn), s}
		s.socks.Lock()
		ended := s.open == nil
		if !ended {
			s.open[a] = struct{}{}
		}
		s.socks.Unlock()
		if ended {
			return nil, errors.Join(errEnded, a.UDPConn.Close())
		}
		return a, nil
	}}
}

func canonical(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

func (s *NameServer) serve() {
	defer close(s.done)
	var in [512]byte
	for {
		n, from, err := s.conn.ReadFrom(in[:])
		if err != nil {
			return
		}
		if out := s.answer(in[:n]); out != nil {
			_, _ = s.conn.WriteTo(out, from) // who asked will ask again
		}
	}
}

// Codes of RFC 1035 and, for IPv6, RFC 3596.
const (
	typeA, typeAAAA = 1, 28
	serverFailure   = 2
	noSuchName      = 3
	headerLen       = 12
)

// answer makes the answer to a message with one question (RFC 1035, section 4); nil when it is none.
func (s *NameServer) answer(msg []byte) []byte {
	host, end, ok := question(msg)
	if !ok {
		return nil
	}
	kind := binary.BigEndian.Uint16(msg[end-4:])
	addrs, code := s.look(host, kind)
	out := append([]byte(nil), msg[:end]...)
	out[2], out[3] = 0x84|out[2]&1, 0x80|code               // a response, authoritative; recursion as asked
	binary.BigEndian.PutUint16(out[6:], uint16(len(addrs))) //nolint:gosec // a test names few
	clear(out[8:headerLen])
	for _, a := range addrs {
		raw := a.AsSlice()
		out = append(out, 0xc0, headerLen) // the name stands at the beginning of the question
		out = binary.BigEndian.AppendUint16(out, kind)
		out = append(out, 0, 1, 0, 0, 0, 0, 0, byte(len(raw)))
		out = append(out, raw...)
	}
	return out
}

// look gives the addresses of one family.
func (s *NameServer) look(host string, kind uint16) (addrs []netip.Addr, code byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == typeA {
		s.asked[host]++
	}
	switch {
	case s.fails:
		return nil, serverFailure
	case len(s.hosts[host]) == 0:
		return nil, noSuchName
	}
	for _, a := range s.hosts[host] {
		if a.Is4() && kind == typeA || a.Is6() && kind == typeAAAA {
			addrs = append(addrs, a)
		}
	}
	return addrs, 0
}

// question reads the name that is asked for, and where the question ends.
func question(msg []byte) (host string, end int, ok bool) {
	if len(msg) < headerLen || binary.BigEndian.Uint16(msg[4:]) != 1 {
		return "", 0, false
	}
	var labels []string
	for at := headerLen; at < len(msg); {
		n := int(msg[at])
		at++
		if n == 0 {
			return canonical(strings.Join(labels, ".")), at + 4, at+4 <= len(msg)
		}
		if n > 63 || at+n > len(msg) {
			return "", 0, false
		}
		labels = append(labels, string(msg[at:at+n]))
		at += n
	}
	return "", 0, false
}
