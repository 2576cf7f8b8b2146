//go:build !windows

package guard

import "syscall"

func isReset(e syscall.Errno) bool {
	return e == syscall.ECONNRESET || e == syscall.EPIPE || e == syscall.ECONNABORTED
}

// isTimeout reports whether the kernel gave up on the path.
func isTimeout(e syscall.Errno) bool {
	return e == syscall.ETIMEDOUT || e == syscall.EHOSTUNREACH || e == syscall.ENETUNREACH
}
