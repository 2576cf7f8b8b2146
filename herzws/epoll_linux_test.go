package herzws

import (
	"context"
	"net"
	"testing"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

func TestConnectionThatCannotJoinTheEpollSetLeavesItToTheOthers(t *testing.T) {
	c, nc, br := narrowPair(t, Config{Engine: Epoll})
	h := c.hub
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 2 {
		other, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		bad := newEpoll(h, other)
		_ = other.Close()
		fd := int(bad.fd)
		bad.fd = 1 << 30 // no descriptor has this number: EBADF
		h.add(bad)
		bad.watch(nil)
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}
	h.poll.mu.Lock()
	if h.poll.refs != 1 || h.poll.raw == nil {
		t.Errorf("%d connections share the set", h.poll.refs)
	}
	h.poll.mu.Unlock()
	if _, err := nc.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame([]byte("well"))))); err != nil {
		t.Fatal(err)
	}
	if h, err := ws.ReadHeader(br); err != nil || h.OpCode != ws.OpPong || h.Length != 4 {
		t.Errorf("%+v, %v", h, err)
	}
	if err := c.Send(context.Background(), Text, []byte("on")); err != nil {
		t.Error(err)
	}
}
