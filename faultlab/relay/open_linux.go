package relay

import (
	"errors"
	"sync"

	"herz.example/herz/faultlab/netns"
)

// Tunnelled is a relay in a tunnel of a namespace.
type Tunnelled struct {
	*Relay
	tunnel *netns.Tunnel
	once   sync.Once
	err    error
}

// Open makes a second way into a namespace and carries its packets.
func Open(n *netns.NS, seed uint64) (*Tunnelled, error) {
	t, err := n.Tunnel()
	if err != nil {
		return nil, err
	}
	return &Tunnelled{Relay: New(t.Outer, t.Inner, seed), tunnel: t}, nil
}

// IP is the address of the namespace on this way.
func (t *Tunnelled) IP() string { return t.tunnel.IP() }

// HostIP is the host's address on this way.
func (t *Tunnelled) HostIP() string { return t.tunnel.HostIP() }

// Close removes the way. It may be called twice.
func (t *Tunnelled) Close() error {
	t.once.Do(func() { t.err = errors.Join(t.Relay.Close(), t.tunnel.Release()) })
	return t.err
}
