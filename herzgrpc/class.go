package herzgrpc

import (
	"strconv"
	"strings"

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
	// cancellation, a message that this end could not encode or take, or a stream that the peer reset. It may have been executed.
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

// ownTexts begin the texts of statuses that gRPC makes at this end, although a header of the server may have come. A server makes some of them, too: of
// those, one that comes after a header and without metadata in its trailer counts as ours, because nothing proves that it is not.
var ownTexts = [...]string{
	"grpc: ", "stream terminated by RST_STREAM", "trying to send message larger", "server closed the stream without sending trailers", "cardinality violation: ",
	"a HEADERS frame cannot appear in the middle", "peer header list size exceeded", "transport: malformed", "SendMsg called after CloseSend", "unexpected EOF",
}

// pageText begins the text of a status that gRPC makes of an answer that is not gRPC's: that of a proxy, or of another server.
const pageText = "unexpected HTTP status code received from server"

// own reports whether gRPC made a status with that text at this end.
func own(text string) bool {
	for _, begin := range ownTexts {
		if strings.HasPrefix(text, begin) {
			return true
		}
	}
	return false
}

// facts are what is known of a call that ended.
type facts struct {
	code     codes.Code
	text     string
	sent     bool // a connection was given the request
	header   bool // the server's header came
	trailer  bool // something stood in the server's trailer
	connLost bool // the connection has ended
}

// classify decides the class of a call. A status without a header of its own (Trailers-Only) stands in a trailer that has at least the content type, so that a
// trailer proves that the server spoke (gRPC over HTTP/2, "Responses"). A header proves no more than that it began: deadlines and cancellations are ours then.
func classify(f facts) Class {
	byUs := f.code == codes.DeadlineExceeded || f.code == codes.Canceled
	switch {
	case f.code == codes.OK, f.trailer:
		return FromServer
	case !f.sent:
		return NeverSent
	case strings.HasPrefix(f.text, pageText):
		return FromServer
	case f.code == codes.Unavailable && f.connLost:
		return TransportLost
	case byUs, own(f.text):
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
	if uint32(code) >= uint32(numCodes) { // where an int has 32 bits, a large code would be a negative one
		return codes.Unknown
	}
	return code
}

// numStates is the number of states of a channel: IDLE, CONNECTING, READY, TRANSIENT_FAILURE, SHUTDOWN.
const numStates = int(connectivity.Shutdown) + 1
