package herzgrpc

import (
	"errors"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc/peer"
)

func discarding(t *testing.T) *Client {
	t.Helper()
	c, err := New(Config{Logger: slog.New(slog.DiscardHandler), MaxConnectionAge: MinConnectionAge})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Calls of two connections that are lost at the same time end in any order.
func TestTooManyPingsAreCountedOncePerConnection(t *testing.T) {
	c := discarding(t)
	a, b := &net.TCPAddr{Port: 1}, &net.TCPAddr{Port: 1} // what is equal is not the same connection
	for range 3 {
		for _, at := range []net.Addr{a, b} {
			c.lookForPings(&call{peer: peer.Peer{LocalAddr: at}}, errors.New("too_many_pings"))
		}
	}
	if n := c.Stats().TooManyPings; n != 2 {
		t.Errorf("two connections count as %d", n)
	}
}
