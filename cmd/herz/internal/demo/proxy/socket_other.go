//go:build !linux

package proxy

import (
	"errors"
	"syscall"
)

var errLinuxOnly = errors.New("it needs Linux")

func drop(_ syscall.Conn, on bool) error {
	if !on {
		return nil
	}
	return refused("drop packets by a socket filter", errLinuxOnly)
}

func unspoken(syscall.Conn) error { return refused("close a socket without a word", errLinuxOnly) }

func canBeSilent() error { return unspoken(nil) }
