package herzgrpc

import (
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
)

// Class says how far a call came: whether its request left, and who decided on its status.
type Class uint8

const (
	// FromServer: the status is what the server sent, whatever its code.
	FromServer Class = iota
	// TransportLost: the request was given to a connection that ended before the server's status came. It may have been executed.
	TransportLost
	// NeverSent: no connection was ever given the request. It was not executed.
	NeverSent
	// Unanswered: the request was given to a connection that lives, and the call ended without the server's status: the caller's deadline or
	// cancellation, a message that this end could not encode, or a stream that the peer reset. It may have been executed.
	Unanswered

	numClasses = int(Unanswered) + 1
)

var classNames = [numClasses]string{"server", "transport_lost", "never_sent", "unanswered"}

// String gives the class's name as it stands in metrics, logs and JSON.
func (c Class) String() string {
	if int(c) >= numClasses {
		return "class(" + strconv.Itoa(int(c)) + ")"
	}
	return classNames[c]
}

// MarshalText gives the name, so that JSON shows words.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Classes lists all classes.
func Classes() []Class { return []Class{FromServer, TransportLost, NeverSent, Unanswered} }

// answeredTwice begins the text of a status that gRPC gives to a call with one answer that got two.
const answeredTwice = "cardinality violation: expected <EOF>"

// facts are what is known of a call that ended.
type facts struct {
	code     codes.Code
	sent     bool // a connection was given the request
	header   bool // the server's header came
	trailer  bool // something stood in the server's trailer
	connLost bool // the connection has ended
	overdue  bool // the caller's context has ended
}

// classify decides the class of a call. A status without a header of its own (Trailers-Only) stands in a trailer that has at least the content type, so that a
// trailer proves that the server spoke (gRPC over HTTP/2, "Responses").
func classify(f facts) Class {
	byUs := f.code == codes.DeadlineExceeded || f.code == codes.Canceled
	switch {
	case f.code == codes.OK, f.trailer:
		return FromServer
	case !f.sent:
		return NeverSent
	case f.code == codes.Unavailable && f.connLost:
		return TransportLost
	case byUs && f.overdue:
		return Unanswered
	case f.header:
		return FromServer
	default:
		return Unanswered
	}
}

// codeNames are the names of the codes as metrics have them (gRPC "Status codes and their use in gRPC").
var codeNames = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
	"FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

const numCodes = len(codeNames)

// known is code, or Unknown for one that gRPC does not have.
func known(code codes.Code) codes.Code {
	if int(code) >= numCodes {
		return codes.Unknown
	}
	return code
}

// numStates is the number of states of a channel: IDLE, CONNECTING, READY, TRANSIENT_FAILURE, SHUTDOWN.
const numStates = int(connectivity.Shutdown) + 1
