package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"herz.example/herz/conn"
)

var (
	// ErrDead is what every [*DeadError] is.
	ErrDead = errors.New("herz/guard: the connection is dead")
	// ErrAmbiguous is what every [*AmbiguousError] is: bytes of a request left and no complete answer came, so that the
	// request may have been executed. To repeat it is the decision of someone who knows the request.
	ErrAmbiguous = errors.New("herz/guard: the request may have been executed")
)

// SafeToRetry reports whether err proves that its request was not delivered. It asks the first error in err's tree that has
// a method SafeToRetry() bool; without one it reports false.
func SafeToRetry(err error) bool {
	var e interface{ SafeToRetry() bool }
	return errors.As(err, &e) && e.SafeToRetry()
}

// DeadError says that the connection is dead and that the call that got it sent nothing. It is ErrDead, a net.Error that
// is no time-out, and net.ErrClosed where we ended the connection by our own decision.
type DeadError struct {
	conn.Death

	begun bool // it is known where the exchange began
}

// Error says what happened, to which connection, whether the request may be repeated, and what to change.
func (e *DeadError) Error() string {
	verdict := "nothing of the request was sent, so it is safe to repeat on another connection"
	switch {
	case e.BytesSent == 0:
	case e.begun:
		verdict = "nothing was sent by this call, but the exchange had begun, so it is not safe to repeat only this part"
	default:
		verdict = "nothing was sent by this call, but nobody told the guard where the request began, so it does not say that it is safe to repeat"
	}
	return "herz/guard: refused: " + describe(e.Death, verdict)
}

// Is matches ErrDead, and net.ErrClosed where the cause is our own decision.
func (e *DeadError) Is(target error) bool {
	return target == ErrDead || (target == net.ErrClosed && e.Cause.Ours())
}

// Timeout reports false: a refusal is no time-out. It is part of net.Error.
func (e *DeadError) Timeout() bool { return false }

// Temporary reports false: the connection stays dead. It is part of net.Error.
func (e *DeadError) Temporary() bool { return false }

// SafeToRetry reports true when no byte left since Begin.
func (e *DeadError) SafeToRetry() bool { return e.BytesSent == 0 }

// AmbiguousError says that the connection ended after bytes of a request had left and before its answer was complete. It is
// ErrAmbiguous and what the kernel said (a [syscall.Errno]), and never io.EOF. It is no net.Error and wraps nothing,
// because libraries repeat requests on both.
type AmbiguousError struct {
	conn.Death

	sight *sight // nil: nobody wants to know who looks at it
}

// Error says what happened, to which connection, that the request must not be repeated blindly, and what to change.
func (e *AmbiguousError) Error() string {
	e.see()
	return "herz/guard: lost in the middle of a request: " +
		describe(e.Death, "the request may have been executed, so it is not safe to repeat")
}

// Is matches ErrAmbiguous and the errno of the death.
func (e *AmbiguousError) Is(target error) bool {
	if target == ErrAmbiguous {
		e.see()
		return true
	}
	errno, ok := target.(syscall.Errno)
	return ok && errno != 0 && errno == e.Errno
}

// RuntimeError makes lib/pq give the connection up: it does so only for a runtime.Error or a *net.OpError, and
// go-redis repeats on the latter.
func (e *AmbiguousError) RuntimeError() {}

// SafeToRetry reports false.
func (e *AmbiguousError) SafeToRetry() bool {
	e.see()
	return false
}

// deadlineError is a deadline that ran out in the middle of an exchange. It stands inside a *net.OpError, as deadlines do.
type deadlineError struct{ AmbiguousError }

func (e *deadlineError) Error() string {
	return "i/o timeout: herz/guard: a deadline cut the exchange short: " +
		describe(e.Death, "the request may have been executed, so it is not safe to repeat")
}

func (e *deadlineError) Is(target error) bool {
	return target == os.ErrDeadlineExceeded || target == context.DeadlineExceeded || target == ErrAmbiguous
}

// As gives the facts to those who look for an *AmbiguousError.
func (e *deadlineError) As(target any) bool {
	a, ok := target.(**AmbiguousError)
	if ok {
		*a = &e.AmbiguousError
	}
	return ok
}

func (e *deadlineError) Timeout() bool   { return true }
func (e *deadlineError) Temporary() bool { return true }

// describe puts the death, the verdict on repeating and the hint into one line.
func describe(d conn.Death, verdict string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v; %s", d, verdict)
	if h := d.Cause.Hint(); h != "" {
		fmt.Fprintf(&b, "; hint: %s", h)
	}
	return b.String()
}
