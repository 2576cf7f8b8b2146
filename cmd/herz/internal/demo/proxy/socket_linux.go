package proxy

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// drop makes the kernel throw away every packet that comes for the socket, before it is acknowledged, or ends that.
func drop(s syscall.Conn, on bool) error {
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	err := control(s, func(fd int) error {
		if on {
			return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
				&unix.SockFprog{Len: uint16(len(nothing)), Filter: &nothing[0]})
		}
		err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		if errors.Is(err, unix.ENOENT) {
			return nil // there was none
		}
		return err
	})
	if err != nil {
		return refused("drop packets by a socket filter", err)
	}
	return nil
}

// unspoken makes the close of the socket send nothing: in TCP_REPAIR, which needs CAP_NET_ADMIN, the kernel does not.
func unspoken(s syscall.Conn) error {
	err := control(s, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_REPAIR, 1) })
	if err != nil {
		return refused("close a socket without a word (TCP_REPAIR)", err)
	}
	return nil
}

// canBeSilent tries unspoken on a socket of its own.
func canBeSilent() error {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	nc, err := net.DialTCP("tcp4", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	return unspoken(nc)
}

func control(s syscall.Conn, do func(fd int) error) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err = raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}
