package herzws

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poller is the epoll set of a hub, and the goroutine that waits in it, parked in Go's poller. Both live from the first connection to the last.
type poller struct {
	// mu guards refs and changes of set. Making and closing the set happens under it; no connection is called.
	mu   sync.Mutex
	refs int
	file *os.File
	raw  syscall.RawConn
}

// edges are what a connection is told of: edge-triggered, so that nothing has to be armed again. Its owner reads until the socket has no more.
const edges = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff

// ended are the signs that the peer ends the stream.
const ended = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR

// hold takes a share of the set, which makes it if need be.
func (p *poller) hold(h *hub) (syscall.RawConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refs == 0 {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("epoll_create1: %w", err)
		}
		if err = unix.SetNonblock(fd, true); err != nil { // an os.File joins Go's poller only when its descriptor does not block
			return nil, errors.Join(err, unix.Close(fd))
		}
		p.file = os.NewFile(uintptr(fd), "epoll")
		if p.raw, err = p.file.SyscallConn(); err != nil {
			return nil, errors.Join(err, p.file.Close())
		}
		go h.wait(p.file, p.raw)
	}
	p.refs++
	return p.raw, nil
}

// release gives it back. The last one ends the goroutine.
func (p *poller) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refs--; p.refs == 0 {
		_ = p.file.SetReadDeadline(time.Unix(1, 0)) // ends the wait, whose goroutine closes the set: it may be the one that is here
		p.file, p.raw = nil, nil
	}
}

// newEpoll takes the descriptor out of a plain TCP connection, so that nothing of package net is left of it in memory. Nil: it cannot be had.
func newEpoll(h *hub, nc net.Conn) *Conn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	fd := -1
	if cerr := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3) }); cerr != nil || err != nil {
		return nil // no descriptors are left: the one there is goes on
	}
	c := &Conn{hub: h, fd: int32(fd)} //nolint:gosec // a descriptor is small
	c.turn.Store(turnOwned)
	if a, ok := tcp.RemoteAddr().(*net.TCPAddr); ok {
		peer := a.AddrPort()
		c.remote, c.port = peer.Addr(), peer.Port()
	}
	return c
}

// watch begins to read: the owner is who calls it. Early is what was read already.
func (c *Conn) watch(early []byte) {
	set, err := c.hub.poll.hold(c.hub)
	if err == nil {
		ev := unix.EpollEvent{Events: edges, Fd: int32(c.slot)} //nolint:gosec // a number, and back again
		cerr := set.Control(func(ep uintptr) { err = unix.EpollCtl(int(ep), unix.EPOLL_CTL_ADD, int(c.fd), &ev) })
		if err = errors.Join(cerr, err); err != nil {
			c.hub.poll.release()
		}
	}
	if err != nil {
		c.lost(fmt.Errorf("join the epoll set: %w", err))
		c.closeFD() // it has no share of the set to give back
		c.end()
		return
	}
	c.keep(early, event{})
	p := buffers.Get().(*[]byte)
	c.pump((*p)[:cap(*p)], true, true)
	putBuffer(p)
}

// wait is the goroutine of the epoll set. It deals with events within the look: between two looks in one Read the poller forgets no edge, so that there is
// no need to ask a second time before it parks.
func (h *hub) wait(set *os.File, raw syscall.RawConn) {
	events := make([]unix.EpollEvent, 256)
	buf := make([]byte, 16<<10)
	_ = raw.Read(func(ep uintptr) bool { // until release
		for {
			n, err := unix.EpollWait(int(ep), events, 0)
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			for _, ev := range events[:max(n, 0)] {
				h.happened(ev, buf)
			}
			if n < len(events) {
				return err != nil
			}
		}
	})
	_ = set.Close()
}

// happened deals with an event.
func (h *hub) happened(ev unix.EpollEvent, buf []byte) {
	c := h.find(uint32(ev.Fd)) //nolint:gosec // see watch
	if c == nil || c.side != nil {
		return
	}
	if ev.Events&unix.EPOLLOUT != 0 {
		c.writable()
	}
	if ev.Events&^uint32(unix.EPOLLOUT) != 0 && c.own() {
		c.pump(buf, true, ev.Events&ended != 0)
	}
}

// own takes the connection; false: somebody has it, and looks again before he lets it go.
func (c *Conn) own() bool {
	for {
		switch c.turn.Load() {
		case turnIdle:
			if c.turn.CompareAndSwap(turnIdle, turnOwned) {
				return true
			}
		case turnOwned:
			if c.turn.CompareAndSwap(turnOwned, turnAgain) {
				return false
			}
		default:
			return false
		}
	}
}

// disown lets it go; false: something happened meanwhile, and the owner looks again.
func (c *Conn) disown() bool {
	if c.turn.CompareAndSwap(turnOwned, turnIdle) {
		return true
	}
	c.turn.Store(turnOwned)
	return false
}

// poke has the connection looked at, because it is to end.
func (c *Conn) poke() {
	if c.own() {
		c.busy.Store(true)
		c.hub.dispatch(c)
	}
}

// turnMessages is how many messages of one connection a worker runs while others wait.
const turnMessages = 32

// pump reads until the socket has no more. The caller owns the connection, and has lost it when pump returns. Quick: he must not run callbacks. All:
// it is not known that a read that does not fill the buffer was the last: the peer may have ended the stream behind what is read, and there is no
// second edge for that (epoll(7), question 9).
func (c *Conn) pump(buf []byte, quick, all bool) {
	for turns, drained := 0, false; ; turns++ {
		b := c.takeRest()
		if len(b) == 0 {
			if c.dead.Load() {
				c.shutDown()
				return
			}
			if drained {
				if c.disown() {
					return
				}
				all = true // what has happened meanwhile is not known
			}
			n, err := unix.Read(int(c.fd), buf)
			drained = n > 0 && n < len(buf) && !all
			switch {
			case n > 0:
				b = buf[:n]
			case errors.Is(err, syscall.EINTR):
				continue
			case errors.Is(err, syscall.EAGAIN):
				if c.disown() {
					return
				}
				continue
			default:
				if err == nil {
					err = io.EOF
				}
				c.lost(err)
				continue
			}
		}
		if c.feed(b, quick) == fedHanded {
			c.busy.Store(true)
			c.hub.dispatch(c)
			return
		}
		if turns >= turnMessages && (quick || c.hub.waits()) { // it is the turn of others
			c.busy.Store(true)
			c.hub.dispatch(c)
			return
		}
	}
}

// shutDown ends a connection that has a share of the set.
func (c *Conn) shutDown() {
	c.closeFD()
	c.hub.poll.release()
	c.end()
}

// closeFD closes the descriptor, which nobody else reads, and nobody writes to after it is -1.
func (c *Conn) closeFD() {
	c.mu.Lock()
	defer c.mu.Unlock()
	fd := c.fd
	c.fd = -1
	_ = unix.Close(int(fd)) // which takes it out of the set: there is no other descriptor of it
}

// waits reports whether a connection waits for a worker.
func (h *hub) waits() bool {
	h.runMu.Lock()
	defer h.runMu.Unlock()
	return len(h.line) > 0
}
