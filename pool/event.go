package pool

import (
	"strconv"
	"time"

	"herz.example/herz/conn"
)

// Observer is told what happens in a pool. Observe is called on the goroutine where the event happens, with no lock of
// the pool held; it must be quick, and of the pool may call only what [Source] has.
type Observer interface{ Observe(Event) }

// Selective is an observer that may do without the events of loans: CheckOutStarted, CheckedOut, CheckOutFailed and CheckedIn. They are by far the
// most, and cost more than the loan itself: a pool whose observer does not want them lends as fast as one without an observer. WantsLoans
// is asked once, by [New]. An observer without the method wants them.
type Selective interface {
	Observer
	WantsLoans() bool
}

// Event is one thing that happened in a pool. Which fields are set depends on Kind.
type Event struct {
	Kind       EventKind
	At         time.Time
	Pool       string        // the pool's name
	Conn       uint64        // the connection, unique in this process; 0 when the event is about none
	Generation uint64        // of the connection, or of the pool after a PoolCleared
	Cause      conn.Cause    // why: of ConnectionClosed, PoolCleared
	Duration   time.Duration // how long: of the dial, the wait, the lease, the heartbeat; the age of a closed connection
	Err        error         // of a failed dial, wait or heartbeat; of a connection given up
	Death      *conn.Death   // of a ConnectionClosed
	Limits     *LimitsChange // of a LimitsChanged
	Uses       uint64        // of a ConnectionClosed: how often it was lent; 0 also where that is not known (herzsql in guarded mode)
	Reused     bool          // of a CheckedOut: the connection had been lent before
	Held       bool          // of a Leaked: the lease is long held, not lost
	Stack      string        // of a Leaked: where the lease was taken, empty when it was not sampled; of a Misused: where that happened
}

// Source is a pool as those see it who only look. [Pool] is one, and so is what herzsql.Source gives. The methods may be called from any
// goroutine, also after the pool is closed, and do not block.
type Source interface {
	Name() string
	Stats() Stats
	Snapshot() []ConnInfo
	Deaths() []conn.Death
	Limits() Limits
}

// LimitsChange is the pool's limits before and after a change.
type LimitsChange struct{ Before, After Limits }

// EventKind tells the kinds of event apart. The names follow the MongoDB connection monitoring and pooling
// specification.
type EventKind uint8

// The kinds of event.
const (
	PoolCreated EventKind = iota + 1
	PoolReady
	PoolCleared // the generation was raised
	PoolClosed
	ConnectionCreated // a dial begins
	ConnectionReady   // a dial succeeded; Duration is the time it took
	ConnectionClosed  // Cause and Death say why; also for a dial that failed (Cause Error)
	CheckOutStarted
	CheckedOut     // Duration is the time waited
	CheckOutFailed // Duration is the time waited; Err is the reason
	CheckedIn      // Duration is how long the lease was held, by the coarse clock
	Heartbeat      // Duration is the round trip; Err is nil when the peer answered
	Leaked         // a lease is lost or held for long
	LimitsChanged
	Misused // a lease was used or returned after its end; Stack says where

	numKinds = int(Misused) + 1
)

var kindNames = [numKinds]string{
	"none", "pool_created", "pool_ready", "pool_cleared", "pool_closed", "connection_created", "connection_ready", "connection_closed",
	"check_out_started", "checked_out", "check_out_failed", "checked_in", "heartbeat", "leaked", "limits_changed",
	"misused",
}

// ofLoans reports whether the kind tells of a loan.
func (k EventKind) ofLoans() bool {
	return k == CheckOutStarted || k == CheckedOut || k == CheckOutFailed || k == CheckedIn
}

// String gives the kind's name as it stands in logs and JSON.
func (k EventKind) String() string {
	if int(k) >= numKinds {
		return "event(" + strconv.Itoa(int(k)) + ")"
	}
	return kindNames[k]
}

// MarshalText gives the name, so that JSON shows words.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
