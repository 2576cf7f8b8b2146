package herzws

import (
	"context"
	"net"
	"testing"
	"time"

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

// When all workers are busy for longer than interval and grace, who waits for his turn was not read meanwhile.
func TestConnectionWhoseTurnComesLateIsNotFoundSilent(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	h := &hub{interval: 30 * time.Second, grace: 10 * time.Second, counts: new(counters), born: time.Now().Add(-time.Hour)}
	c := &Conn{hub: h, fd: int32(pair[0])} //nolint:gosec // a descriptor is small
	c.turn.Store(turnOwned)
	c.busy.Store(true)
	c.seen.Store(int64(h.now() - time.Minute))
	c.run()
	if c.inspect(h.now()); c.dead.Load() {
		t.Errorf("ended by %v", c.why)
	}
}
