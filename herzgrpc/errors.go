package herzgrpc

import (
	"fmt"

	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"herz.example/herz/guard"
)

// CallError is the error of a call that did not end by the server's status. It is the status that gRPC gave it (status.FromError, status.Code), and
// tells what is known of delivery: guard.SafeToRetry is true for NeverSent, and errors.Is with guard.ErrAmbiguous for the other classes.
type CallError struct {
	Class Class
	State connectivity.State // of the channel when the call began

	err error
}

// Error says what gRPC says, and whether the call may be repeated.
func (e *CallError) Error() string {
	var verdict string
	switch e.Class {
	case NeverSent:
		verdict = "no connection was given the request, so it is safe to repeat"
	case TransportLost:
		verdict = "the connection ended before the server's status came, so the request may have been executed, and is not safe to repeat"
	default:
		verdict = "the request was given to a connection and the server's status did not come, so it may have been executed, and is not safe to repeat"
	}
	return fmt.Sprintf("%v; herz/herzgrpc: %v, channel %v when the call began: %s", e.err, e.Class, e.State, verdict)
}

// GRPCStatus is the status that gRPC gave the call.
func (e *CallError) GRPCStatus() *status.Status { return status.Convert(e.err) }

// Unwrap is gRPC's error.
func (e *CallError) Unwrap() error { return e.err }

// SafeToRetry reports whether it is proved that nothing of the request left.
func (e *CallError) SafeToRetry() bool { return e.Class == NeverSent }

// Is matches guard.ErrAmbiguous where the request may have been executed.
func (e *CallError) Is(target error) bool {
	return target == guard.ErrAmbiguous && e.Class != NeverSent
}

// explain gives the error that the caller is to get: that of the server as it is.
func (k *call) explain(err error) error {
	if err == nil || k.class == FromServer {
		return err
	}
	return &CallError{Class: k.class, State: k.state, err: err}
}
