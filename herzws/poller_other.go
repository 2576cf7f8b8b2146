//go:build !linux

package herzws

import "net"

// poller is that of Linux; elsewhere every connection is portable.
type poller struct{}

func newEpoll(*hub, net.Conn) *Conn { return nil }

func (c *Conn) watch([]byte) {}

func (c *Conn) pump([]byte, bool, bool) {}

func (c *Conn) poke() {}
