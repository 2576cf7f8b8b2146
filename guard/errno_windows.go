package guard

import "syscall"

const (
	wsaenetreset    = syscall.Errno(10052)
	wsaetimedout    = syscall.Errno(10060)
	wsaehostunreach = syscall.Errno(10065)
)

func isReset(e syscall.Errno) bool {
	return e == syscall.WSAECONNRESET || e == syscall.WSAECONNABORTED || e == wsaenetreset
}

// isTimeout reports whether the kernel gave up on the path.
func isTimeout(e syscall.Errno) bool { return e == wsaetimedout || e == wsaehostunreach }
