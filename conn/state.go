package conn

import "strconv"

// State is where a connection is in its life. The zero value is Dialing, the first state.
type State uint8

const (
	// Dialing: the connection is being made; nobody may have it yet. It becomes Idle or InUse (handed straight to a
	// waiter), Stale when it was overtaken while it was made (a new generation, a closed pool), or Closed when the dial failed.
	Dialing State = iota
	// Idle: it rests in the pool. It is lent (InUse), examined (Checking), or found or declared unfit (Stale).
	Idle
	// Checking: a heartbeat, a ping at borrow or a reset owns it; no user has it. It goes back to Idle, straight to a
	// waiter (InUse), or is Stale.
	Checking
	// InUse: lent to at least one user. A move from InUse to InUse is a new lease: the connection is shared or passed
	// on to the next waiter. It is returned (Idle), reset first (Checking), or unfit (Stale).
	InUse
	// Stale: unfit for ever, waiting to be closed. Only Closing follows: this is why Stale is a state and not a flag.
	Stale
	// Closing: its close has begun and it no longer holds a place in the pool. Only Closed follows.
	Closing
	// Closed: gone. Terminal.
	Closed

	numStates = int(Closed) + 1
)

var stateNames = [numStates]string{"dialing", "idle", "checking", "in_use", "stale", "closing", "closed"}

// String gives the state's name as it stands in metrics, logs and JSON.
func (s State) String() string {
	if int(s) >= numStates {
		return "state(" + strconv.Itoa(int(s)) + ")"
	}
	return stateNames[s]
}

// MarshalText gives the name, so that JSON shows words.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// States lists all states in the order of a life.
func States() []State {
	all := make([]State, numStates)
	for i := range all {
		all[i] = State(i)
	}
	return all
}

// legal is the whole machine: bit t of legal[f] is set when a connection in state f may move to state t. It is an
// array of bits so that the check costs a load and a shift on the path of every lease.
var legal = [8]uint8{
	Dialing:  1<<Idle | 1<<InUse | 1<<Stale | 1<<Closed,
	Idle:     1<<InUse | 1<<Checking | 1<<Stale,
	Checking: 1<<Idle | 1<<InUse | 1<<Stale,
	InUse:    1<<Idle | 1<<InUse | 1<<Checking | 1<<Stale,
	Stale:    1 << Closing,
	Closing:  1 << Closed,
	Closed:   0,
}

// Can reports whether a connection in state s may move to state to.
func (s State) Can(to State) bool {
	return int(to) < numStates && legal[s&7]>>to&1 == 1 && int(s) < numStates
}
