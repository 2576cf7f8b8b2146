package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrClosed is returned by Acquire once the pool is draining or closed.
var ErrClosed = errors.New("herz/pool: the pool is closed")

// ErrExhausted is what an [*ExhaustedError] is.
var ErrExhausted = errors.New("herz/pool: no connection became free in time")

// ErrMisuse is reported, by an event, when a lease is used or returned after its return.
var ErrMisuse = errors.New("herz/pool: lease used after its return")

// ExhaustedError says why Acquire gave up: no connection became free before the caller's time ran out, or too many
// callers waited already. It is [ErrExhausted], and the context's error where the context ended the wait.
type ExhaustedError struct {
	Pool    string
	Waited  time.Duration
	Ahead   int // callers who waited in front of this one when it gave up
	Stats   Stats
	Holders []Holder // who holds connections, longest first; at most 16
	DialErr error    // why no connection could be dialled, nil when that was not the reason
	CtxErr  error    // context.DeadlineExceeded or context.Canceled; nil when the caller was turned away at once
	Advice  string   // what to change
}

// Holder is one lease that is out.
type Holder struct {
	Conn  uint64
	Held  time.Duration
	Stack string // where the lease was taken; empty when it was not sampled
}

// Error says what happened and what to change.
func (e *ExhaustedError) Error() string {
	if errors.Is(e.CtxErr, context.Canceled) {
		return fmt.Sprintf("herz/pool: acquire from %q: the caller gave up after %v: %v", e.Pool, e.Waited.Round(time.Millisecond), e.CtxErr)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "herz/pool: acquire from %q: gave up after %v: %d of %d connections in use, %d idle, %d being checked, %d dialling, %d waiting in front",
		e.Pool, e.Waited.Round(time.Millisecond), e.Stats.InUse, e.Stats.Open, e.Stats.Idle, e.Stats.Checking, e.Stats.Dialing, e.Ahead)
	if e.DialErr != nil {
		fmt.Fprintf(&b, "; the last dial failed: %v", e.DialErr)
	}
	if len(e.Holders) > 0 {
		b.WriteString("; held")
		for i, h := range e.Holders[:min(len(e.Holders), 3)] {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, " #%d for %v", h.Conn, h.Held.Round(time.Millisecond))
			if h.Stack != "" {
				fmt.Fprintf(&b, " by %s", firstFrame(h.Stack))
			}
		}
		if n := len(e.Holders) - 3; n > 0 {
			fmt.Fprintf(&b, " and %d more", n)
		}
	}
	if e.Advice != "" {
		fmt.Fprintf(&b, "; %s", e.Advice)
	}
	if e.CtxErr != nil {
		fmt.Fprintf(&b, ": %v", e.CtxErr)
	}
	return b.String()
}

// Is matches ErrExhausted, the error of the context that ended the wait, and the dial's error.
func (e *ExhaustedError) Is(target error) bool { return target == ErrExhausted }

// Unwrap gives the context's error and the dial's.
func (e *ExhaustedError) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.CtxErr, e.DialErr} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Timeout reports whether time ran out, as net.Error asks.
func (e *ExhaustedError) Timeout() bool { return errors.Is(e.CtxErr, context.DeadlineExceeded) }

// SafeToRetry reports true: nothing was sent.
func (e *ExhaustedError) SafeToRetry() bool { return true }

// DialError wraps the error of the dial on which a caller of Acquire depended.
type DialError struct {
	Pool string
	Err  error
}

// Error says which pool could not dial, and why.
func (e *DialError) Error() string { return fmt.Sprintf("herz/pool: dial for %q: %v", e.Pool, e.Err) }

// Unwrap gives the error that Config.Dial returned.
func (e *DialError) Unwrap() error { return e.Err }

// Timeout reports whether time ran out, as net.Error asks.
func (e *DialError) Timeout() bool {
	var timed interface{ Timeout() bool }
	return errors.As(e.Err, &timed) && timed.Timeout()
}

// SafeToRetry reports true: there was no connection to send anything on.
func (e *DialError) SafeToRetry() bool { return true }

func firstFrame(stack string) string {
	line, _, _ := strings.Cut(stack, "\n")
	return line
}
