package guard

import (
	"time"

	"herz.example/herz/internal/sys"
)

// arm turns the exchange's keep-alive on, and bounds the pause between retransmissions, without which a short outage is
// noticed to be over only seconds after it is. It reports whether the bound is in force (Linux 6.15). The bound must not be set while
// the peer's window is shut over data in flight: the kernel then gives up after twice the bound
// (tcp_rtx_probe0_timed_out), and the peer may only be slow.
func (c *Conn) arm(bound bool) bool {
	c.armMu.Lock()
	defer c.armMu.Unlock()
	if c.armed && c.capped == bound {
		return c.capped
	}
	k := c.opt.keepAlive()
	k.Count = sweepProbes
	_ = c.raw.Control(func(fd uintptr) {
		if !c.armed {
			before, err := sys.GetKeepAlive(fd)
			if err != nil || sys.SetKeepAlive(fd, k) != nil {
				return
			}
			c.before, c.armed = before, true
		}
		switch {
		case bound:
			c.capped = sys.CapRTO(fd, time.Duration(k.Interval)*time.Second) == nil
		case c.capped:
			c.capped = sys.CapRTO(fd, 0) != nil
		}
	})
	return c.capped
}

// listen turns keep-alive on for the whole life.
func (c *Conn) listen() {
	c.armMu.Lock()
	defer c.armMu.Unlock()
	if c.kind.TCP {
		_ = c.raw.Control(func(fd uintptr) { _ = sys.SetKeepAlive(fd, c.opt.keepAlive()) })
	}
}

func (c *Conn) disarm() {
	c.armMu.Lock()
	defer c.armMu.Unlock()
	if !c.armed && !c.capped {
		return
	}
	_ = c.raw.Control(func(fd uintptr) {
		if c.armed {
			_ = sys.SetKeepAlive(fd, c.before)
		}
		if c.capped {
			_ = sys.CapRTO(fd, 0)
		}
	})
	c.armed, c.capped = false, false
}

// userKeepAlive lets the user's own setting win over the sweep's; the sweep takes it as the one to give back.
func (c *Conn) userKeepAlive(set func() error) error {
	c.armMu.Lock()
	defer c.armMu.Unlock()
	c.armed = false
	return set()
}
