package sys

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Events is an epoll set that tells of peers that are gone, and of nothing else: EPOLLRDHUP, edge-triggered, so that data
// never wakes it. The set's own descriptor waits in Go's poller: no thread is held.
type Events struct {
	file *os.File
	raw  syscall.RawConn
}

// NewEvents makes an empty set. Its Close must be called.
func NewEvents() (*Events, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	// An os.File joins Go's poller only when its descriptor does not block.
	if err = unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("set epoll set non-blocking: %w", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("raw access to epoll set: %w", err)
	}
	return &Events{file: file, raw: raw}, nil
}

// Add puts a socket into the set under id. The id stands for the connection and never for the descriptor: while a
// duplicate of a descriptor is open its registration lives on, and would speak for the next socket of that number.
func (e *Events) Add(fd uintptr, id uint64) error {
	ev := unix.EpollEvent{Events: unix.EPOLLRDHUP | epollET, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))}
	var err error
	if cerr := e.raw.Control(func(ep uintptr) { err = unix.EpollCtl(int(ep), unix.EPOLL_CTL_ADD, int(fd), &ev) }); cerr != nil {
		return cerr
	}
	return err
}

// Del takes a socket out of the set. It must be done before the socket is closed.
func (e *Events) Del(fd uintptr) {
	_ = e.raw.Control(func(ep uintptr) { _ = unix.EpollCtl(int(ep), unix.EPOLL_CTL_DEL, int(fd), nil) })
}

// Run calls f for each event, on the goroutine that called Run, until Close. f may call Close: it runs outside the read
// whose end Close waits for.
func (e *Events) Run(f func(id uint64, what Ready)) {
	var (
		events [64]unix.EpollEvent
		n      int
	)
	wait := func(ep uintptr) bool {
		var err error
		for {
			if n, err = unix.EpollWait(int(ep), events[:], 0); err != unix.EINTR {
				return n > 0
			}
		}
	}
	for e.raw.Read(wait) == nil {
		for i := range events[:n] {
			f(uint64(uint32(events[i].Fd))|uint64(uint32(events[i].Pad))<<32, ready(events[i].Events))
		}
	}
}

// Close ends Run and frees the set.
func (e *Events) Close() { _ = e.file.Close() }

// epollET is EPOLLET, whose constant is negative on some architectures.
const epollET = uint32(1) << 31
