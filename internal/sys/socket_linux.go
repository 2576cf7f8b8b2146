package sys

import (
	"errors"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Supported reports whether this system's sockets can be asked.
const Supported = true

// KindOf asks what the descriptor is. MPTCP sockets answer as TCP.
func KindOf(fd uintptr) Kind {
	typ, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || typ != unix.SOCK_STREAM {
		return Kind{}
	}
	_, tcp := TCPInfo(fd)
	return Kind{Stream: true, TCP: tcp}
}

// Poll asks what is ready, without waiting and without changing anything. It is a raw system call with its arguments on
// the stack: it cannot block, so the scheduler need not know, and nothing is allocated. ppoll and not poll,
// because newer architectures have only that.
func Poll(fd uintptr) Ready {
	fds := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}
	var at unix.Timespec
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds)), 1, uintptr(unsafe.Pointer(&at)), 0, 0, 0)
		switch errno {
		case 0:
			return ready(uint32(fds.Revents))
		case unix.EINTR:
		default:
			return 0
		}
	}
}

// ready translates; poll's and epoll's bits have the same values.
func ready(ev uint32) Ready {
	var r Ready
	if ev&unix.EPOLLIN != 0 {
		r |= In
	}
	if ev&unix.EPOLLRDHUP != 0 {
		r |= ReadHup
	}
	if ev&unix.EPOLLHUP != 0 {
		r |= Hup
	}
	if ev&unix.EPOLLERR != 0 {
		r |= Err
	}
	if ev&unix.POLLNVAL != 0 {
		r |= Invalid
	}
	return r
}

// TCPInfo asks for TCP_INFO; false when the socket is not TCP.
func TCPInfo(fd uintptr) (Info, bool) {
	var raw unix.TCPInfo
	size := uint32(unsafe.Sizeof(raw))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return Info{}, false
	}
	return Info{
		State:       State(raw.State),
		Retransmits: int(raw.Retransmits),
		Probes:      int(raw.Probes),
		Unacked:     int(raw.Unacked),
		AckAge:      time.Duration(raw.Last_ack_recv) * time.Millisecond,
		SentAge:     time.Duration(raw.Last_data_sent) * time.Millisecond,
		PeerWindow:  int(raw.Snd_wnd),
		NotSent:     int(raw.Notsent_bytes),
		RTO:         time.Duration(raw.Rto) * time.Microsecond,
	}, true
}

// Peek copies what waits to be read, without consuming a byte. When nothing waits and the socket has an error, the kernel
// hands the error out and forgets it: the caller must keep a returned errno for the next read, which will see the end
// of the stream in its place.
func Peek(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err == nil {
		return n, 0
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) || errno == unix.EAGAIN || errno == unix.EINTR {
		return 0, 0
	}
	return 0, errno
}

// Discard throws away up to limit bytes that wait to be read and reports how many. The kernel answers the close of a socket
// with unread bytes by a RST, which can destroy what we sent last.
func Discard(fd uintptr, limit int) int {
	var scratch [4096]byte
	total := 0
	for total < limit {
		n, _, err := unix.Recvfrom(int(fd), scratch[:min(len(scratch), limit-total)], unix.MSG_DONTWAIT)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		total += n
	}
	return total
}

// GetKeepAlive reads the keep-alive setting.
func GetKeepAlive(fd uintptr) (KeepAlive, error) {
	var k KeepAlive
	on, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	if err != nil {
		return k, err
	}
	k.On = on != 0
	for _, o := range []struct {
		name int
		to   *int
	}{{unix.TCP_KEEPIDLE, &k.Idle}, {unix.TCP_KEEPINTVL, &k.Interval}, {unix.TCP_KEEPCNT, &k.Count}} {
		if *o.to, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, o.name); err != nil {
			return k, err
		}
	}
	return k, nil
}

// SetKeepAlive changes the keep-alive setting. Its clock counts from the newest packet of the peer, not from the call.
func SetKeepAlive(fd uintptr, k KeepAlive) error {
	if !k.On {
		return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	}
	for _, o := range [][3]int{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.Count},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, k.Interval},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, k.Idle},
	} {
		if err := unix.SetsockoptInt(int(fd), o[0], o[1], o[2]); err != nil {
			return err
		}
	}
	return nil
}

// ProbeNow sends a keep-alive probe at once, if keep-alive is on and the peer was silent for idle seconds: the kernel looks
// at the clock again when TCP_KEEPIDLE is set (tcp_sock_set_keepidle_locked).
func ProbeNow(fd uintptr, idle int) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle)
}

// tcpRTOMaxMS is TCP_RTO_MAX_MS of include/uapi/linux/tcp.h, since Linux 6.15.
const tcpRTOMaxMS = 44

// CapRTO bounds the time between two retransmissions (at least 1 s); 0 is the kernel's default of 120 s. It is an
// error on kernels before 6.15.
func CapRTO(fd uintptr, longest time.Duration) error {
	if longest == 0 {
		longest = 120 * time.Second
	}
	return unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, tcpRTOMaxMS, int(longest.Milliseconds()))
}
