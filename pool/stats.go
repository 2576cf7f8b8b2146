package pool

import (
	"slices"
	"time"

	"herz.example/herz/conn"
)

// Stats are a pool's numbers. The counts of connections were taken in one pass over their states, so that Open is
// always the sum of Idle, Checking, InUse, Stale and Closing. Dialing and Waiting stand apart.
type Stats struct {
	Name       string
	Generation uint64

	Open     int // Idle + Checking + InUse + Stale + Closing
	Idle     int
	Checking int
	InUse    int // connections lent
	Stale    int // unfit, waiting to be closed
	Closing  int // being closed; they hold no place
	Leases   int // leases out; greater than InUse only where connections are shared
	Dialing  int
	Waiting  int // callers waiting in Acquire

	OldestWait time.Duration // of the caller who waits longest now

	Acquires      uint64        // leases given out since the pool was made
	Waits         uint64        // callers who had to wait
	WaitTimeouts  uint64        // of these: gave up because time ran out
	WaitCancels   uint64        // of these: were cancelled
	WaitRefused   uint64        // callers turned away because MaxWaiters were waiting
	WaitTime      time.Duration // sum over all callers who waited
	WaitCounts    [13]uint64    // callers who waited, by how long: up to each of WaitBounds, and longer. All 0 where that is not known
	Dials         uint64        // dials begun
	DialErrors    uint64        // dials that failed
	LastDialError string        // the newest dial's error; empty after a success
	Heartbeats    uint64        // heartbeats and pings made
	HeartbeatErrs uint64        // of these: failed
	Misuses       uint64        // leases used or returned twice
	DeadLent      uint64        // connections that had ended when they were lent, as far as their guard tells; 0 is the pool's promise
	Closed        map[conn.Cause]uint64
}

// waitBounds divide waits for people: below a millisecond nobody asks, beyond five seconds nobody waits any more.
var waitBounds = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
}

// WaitBounds are the upper bounds of Stats.WaitCounts, which has one count more, for what is longer than the last.
func WaitBounds() []time.Duration { return slices.Clone(waitBounds[:]) }

// ConnInfo is one connection as it is now.
type ConnInfo struct {
	ID            uint64
	State         conn.State
	Peer          string // empty when the pool could not find the socket
	Identity      string // what Config.Identity said last
	Generation    uint64
	Age           time.Duration
	Idle          time.Duration // since it was last lent or returned; 0 while in use
	Held          time.Duration // of the present lease; 0 unless in use
	Uses          uint64
	Leases        int
	LastHeartbeat time.Duration // round trip of the newest heartbeat; 0 when there was none
	Cause         conn.Cause    // why it is stale or closing
	Holder        string        // where the present lease was taken, when that was sampled
}

// LeaseInfo tells a user about the lease held.
type LeaseInfo struct {
	Conn       uint64
	Generation uint64
	Uses       uint64 // including this one
	Age        time.Duration
	Reused     bool // the connection had been lent before
}
