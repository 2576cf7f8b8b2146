package conn

import (
	"fmt"
	"strings"
	"syscall"
	"time"
)

// Death is the record of how one connection ended. The zero value is no death.
type Death struct {
	ID        uint64        // the connection, unique in this process
	Pool      string        // name of its pool; empty when it had none
	Peer      string        // address of the peer, as host:port or path
	Cause     Cause         // why
	Age       time.Duration // since it was made
	Idle      time.Duration // since its last byte in either direction
	Phase     string        // resolve, connect, tls, processing, transfer; idle when nothing was asked
	BytesSent int64         // of the request that was under way; 0 is a proof that nothing left
	Errno     syscall.Errno // what the kernel said; 0 when it said nothing
	Detail    string        // more, for a person: the peer's last words, the ping's error
}

// String says the death in one line: what happened, to which connection, and what is known about the request.
func (d Death) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "connection #%d", d.ID)
	if d.Peer != "" {
		fmt.Fprintf(&b, " to %s", d.Peer)
	}
	if d.Pool != "" {
		fmt.Fprintf(&b, " of pool %q", d.Pool)
	}
	fmt.Fprintf(&b, ": %s (%s", d.Cause.Sentence(), d.Cause)
	if d.Errno != 0 {
		fmt.Fprintf(&b, ", %v", d.Errno)
	}
	fmt.Fprintf(&b, "; age %v, idle %v", d.Age.Round(time.Millisecond), d.Idle.Round(time.Millisecond))
	if d.Phase != "" {
		fmt.Fprintf(&b, ", phase %s", d.Phase)
	}
	fmt.Fprintf(&b, ", %d bytes of the request sent)", d.BytesSent)
	if d.Detail != "" {
		fmt.Fprintf(&b, ": %s", d.Detail)
	}
	return b.String()
}
