package conn

import "strconv"

// Cause is why a connection ended. The zero value, None, means that it has not ended.
type Cause uint8

// The causes. "Peer or path" causes are what happens to us; the others are our own decisions (see [Cause.Ours]).
const (
	None        Cause = iota // it has not ended
	PeerFIN                  // the peer closed its end: RFC 9293 FIN, seen as CLOSE_WAIT, EOF or RDHUP
	PeerRST                  // the peer, or something between, reset it: RFC 9293 RST
	Timeout                  // a deadline of the user ran out in the middle of an exchange, so that the stream is out of step
	KeepAlive                // the kernel's keep-alive probes were not answered (ETIMEDOUT with nothing in flight)
	Unacked                  // data in flight was not acknowledged in time: a black hole
	GoAway                   // the peer asked for no more requests: HTTP/2 GOAWAY, a protocol's goodbye
	Heartbeat                // a protocol ping failed or was not answered in time
	MaxLifetime              // it reached Limits.MaxLifetime
	MaxIdle                  // it was idle for Limits.MaxIdleTime, or beyond the warm band
	MaxUses                  // it was lent Limits.MaxUses times
	Evicted                  // an operator asked for it
	Generation               // the pool was invalidated after this connection was dialled
	Identity                 // the server or its role changed
	Leaked                   // its lease was lost
	Misuse                   // it was used or returned against the rules
	Error                    // the user or the protocol reported it broken
	Drained                  // the pool was drained or closed
	Shrunk                   // Limits.MaxOpen was lowered

	numCauses = int(Shrunk) + 1
)

var causeNames = [numCauses]string{
	"none", "peer_fin", "peer_rst", "timeout", "keepalive", "unacked", "goaway", "heartbeat", "max_lifetime", "max_idle", "max_uses",
	"evicted", "generation", "identity", "leaked", "misuse", "error", "drained", "shrunk",
}

var causeWords = [numCauses]string{
	None:        "it has not ended",
	PeerFIN:     "the peer closed it",
	PeerRST:     "the peer or a device between reset it",
	Timeout:     "a deadline cut an exchange short, so answers would be out of step",
	KeepAlive:   "the peer stopped answering keep-alive probes",
	Unacked:     "nothing that was sent was acknowledged any more: a black hole",
	GoAway:      "the peer asked for no more requests",
	Heartbeat:   "the peer did not answer a ping in time",
	MaxLifetime: "it reached its maximum lifetime",
	MaxIdle:     "it was idle for too long",
	MaxUses:     "it reached its maximum number of uses",
	Evicted:     "an operator evicted it",
	Generation:  "the pool was invalidated after it was dialled",
	Identity:    "the server behind its address changed",
	Leaked:      "its lease was lost",
	Misuse:      "it was used against the rules",
	Error:       "its user reported it broken",
	Drained:     "the pool was drained or closed",
	Shrunk:      "the pool was made smaller",
}

// String gives the cause's name as it stands in metrics, logs and JSON.
func (c Cause) String() string {
	if int(c) >= numCauses {
		return "cause(" + strconv.Itoa(int(c)) + ")"
	}
	return causeNames[c]
}

// Sentence says the cause in words, for a person.
func (c Cause) Sentence() string {
	if int(c) >= numCauses {
		return c.String()
	}
	return causeWords[c]
}

// Hint says what an operator can change, or is empty.
func (c Cause) Hint() string {
	switch c {
	case PeerFIN:
		return "if this happens to idle connections, make their maximum idle time shorter than the peer's idle time-out"
	case PeerRST:
		return "look for a restarted peer, or for a firewall, NAT or balancer that forgets idle flows sooner than the pool does"
	case Unacked, KeepAlive:
		return "look for a dropped flow or a lost host between here and the peer; for long paths use the WAN preset"
	case Timeout:
		return "give the request more time, or find out why the peer was slow"
	case Heartbeat:
		return "look for a server that hangs or is overloaded, or for a path that drops packets without a word"
	case Misuse:
		return "do not use a connection after its sending side was closed"
	default:
		return ""
	}
}

// MarshalText gives the name, so that JSON shows words.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Causes lists all causes, None first.
func Causes() []Cause {
	all := make([]Cause, numCauses)
	for i := range all {
		all[i] = Cause(i)
	}
	return all
}

// Ours reports whether we ended the connection by our own decision, rather than the peer or the path. A death that is
// not ours is worth a warning.
func (c Cause) Ours() bool {
	switch c {
	case MaxLifetime, MaxIdle, MaxUses, Evicted, Generation, Identity, Drained, Shrunk:
		return true
	default:
		return false
	}
}

// Delivery is what is known about the request of the exchange that runs now. The zero value is NothingSent.
type Delivery uint8

const (
	// NothingSent: no byte of the request left; repeating it is safe.
	NothingSent Delivery = iota
	// MaybeSent: at least one byte left and no answer came; the request may have been executed.
	MaybeSent
	// Answered: the peer answered after the last byte that left.
	Answered
)

// String gives the name as it stands in logs and JSON.
func (d Delivery) String() string {
	switch d {
	case NothingSent:
		return "nothing_sent"
	case MaybeSent:
		return "maybe_sent"
	case Answered:
		return "answered"
	default:
		return "delivery(" + strconv.Itoa(int(d)) + ")"
	}
}

// MarshalText gives the name, so that JSON shows words.
func (d Delivery) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
