//go:build unix

package herzws

import (
	"errors"
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// triesWrites: a socket can be asked to take what it can without waiting.
const triesWrites = true

// writeFD writes to a socket that does not block as much as it takes. No bytes and no error: it takes none now.
func writeFD(fd int32, b []byte) (int, error) {
	total := 0
	for total < len(b) {
		n, err := unix.Write(int(fd), b[total:])
		switch {
		case n > 0:
			total += n
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return total, nil
		case err != nil:
			return total, err
		default:
			return total, io.ErrUnexpectedEOF
		}
	}
	return total, nil
}

// shutFD sends FIN.
func shutFD(fd int32) {
	if fd >= 0 {
		_ = unix.Shutdown(int(fd), unix.SHUT_WR) // the peer may have ended it already
	}
}
