//go:build linux

package netns

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"herz.example/herz/faultlab/owner"
)

// subnets is how many networks of four addresses there are in 198.18.0.0/15.
const subnets = 1 << 15

// subnet is one of them, which no other process of this machine takes while it is held.
type subnet struct {
	number int
	held   net.PacketConn
}

// claim takes a subnet that is free. The claim is an abstract UNIX socket, because the kernel gives one back when its process
// ends, however that ends.
func claim() (*subnet, error) {
	const tries = 1000
	first := rand.IntN(subnets)
	for i := range tries {
		n := (first + i) % subnets
		held, err := net.ListenPacket("unixgram", "@"+owner.Prefix+"subnet-"+strconv.Itoa(n))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("netns: claim subnet %d: %w", n, err)
		}
		s := &subnet{number: n, held: held}
		used, err := s.used()
		if err == nil && !used {
			return s, nil
		}
		if err := errors.Join(err, s.release()); err != nil {
			return nil, fmt.Errorf("netns: claim subnet %d: %w", n, err)
		}
	}
	return nil, fmt.Errorf("netns: none of %d networks in 198.18.0.0/15 is free: remove interfaces that use it", tries)
}

// used reports whether the host has an interface there already, which somebody else made.
func (s *subnet) used() (bool, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false, err
	}
	first := net.ParseIP(s.addr(1))
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.Contains(first) {
			return true, nil
		}
	}
	return false, nil
}

// addr is one of its addresses; 1 and 2 are for hosts.
func (s *subnet) addr(i int) string {
	a := s.number*4 + i
	return netip.AddrFrom4([4]byte{198, byte(18 + a>>16), byte(a >> 8), byte(a)}).String()
}

func (s *subnet) release() error { return s.held.Close() }
