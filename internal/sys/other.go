//go:build !linux

package sys

import (
	"syscall"
	"time"
)

// Supported reports whether this system's sockets can be asked.
const Supported = false

// KindOf knows nothing here.
func KindOf(uintptr) Kind { return Kind{} }

// Poll knows nothing here.
func Poll(uintptr) Ready { return 0 }

// TCPInfo knows nothing here.
func TCPInfo(uintptr) (Info, bool) { return Info{}, false }

// Peek reads nothing here.
func Peek(uintptr, []byte) (int, syscall.Errno) { return 0, 0 }

// Discard discards nothing here.
func Discard(uintptr, int) int { return 0 }

// GetKeepAlive is not supported here.
func GetKeepAlive(uintptr) (KeepAlive, error) { return KeepAlive{}, ErrUnsupported }

// SetKeepAlive is not supported here.
func SetKeepAlive(uintptr, KeepAlive) error { return ErrUnsupported }

// ProbeNow does nothing here.
func ProbeNow(uintptr, int) {}

// CapRTO is not supported here.
func CapRTO(uintptr, time.Duration) error { return ErrUnsupported }

// Events is an epoll set; there is none here.
type Events struct{}

// NewEvents is not supported here.
func NewEvents() (*Events, error) { return nil, ErrUnsupported }

// Add is not supported here.
func (*Events) Add(uintptr, uint64) error { return ErrUnsupported }

// Del does nothing here.
func (*Events) Del(uintptr) {}

// Run returns at once here.
func (*Events) Run(func(uint64, Ready)) {}

// Close does nothing here.
func (*Events) Close() {}
