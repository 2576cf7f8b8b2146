package herzhttp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// AmbiguousError is the failure of a request that may have been executed and whose method is not safe: bytes of it left, and no whole answer came. It is
// [guard.ErrAmbiguous]; what happened is underneath.
type AmbiguousError struct {
	Method string
	Host   string // address with port
	Err    error

	ended error // how the caller's context had ended, which its cause does not tell; nil: it had not
	keyed bool  // the request has an Idempotency-Key
}

// Error says what to do about it.
func (e *AmbiguousError) Error() string {
	if e.keyed {
		return fmt.Sprintf("herz/herzhttp: %s to %s may have been executed: %v; repeat it with the same Idempotency-Key", e.Method, e.Host, e.Err)
	}
	return fmt.Sprintf("herz/herzhttp: %s to %s may have been executed, and was not repeated: %v; give it an Idempotency-Key if the server heeds one",
		e.Method, e.Host, e.Err)
}

// SafeToRetry reports false, though the last of several tries may have failed without doing harm.
func (e *AmbiguousError) SafeToRetry() bool { return false }

// Is reports that the error is guard.ErrAmbiguous, and context.Canceled or context.DeadlineExceeded where the caller's context had ended, with whatever cause.
func (e *AmbiguousError) Is(target error) bool {
	return target == guard.ErrAmbiguous || e.ended != nil && target == e.ended
}

// Unwrap is what happened.
func (e *AmbiguousError) Unwrap() error { return e.Err }

// Timeout reports whether time ran out.
func (e *AmbiguousError) Timeout() bool {
	return isTimeout(e.Err) || errors.Is(e.ended, context.DeadlineExceeded)
}

// undeliveredError is the failure of a request that was not delivered and could not be sent again.
type undeliveredError struct {
	err error
	why string
}

func (e *undeliveredError) Error() string {
	return "herz/herzhttp: the request was not delivered " + e.why + ": " + e.err.Error()
}
func (e *undeliveredError) Unwrap() error     { return e.err }
func (e *undeliveredError) SafeToRetry() bool { return true }
func (e *undeliveredError) Timeout() bool     { return isTimeout(e.err) }

// waitError is the end of a caller's context while it waited for a connection. It is the cause of that end, too, as net/http's errors are.
type waitError struct {
	err   error
	cause error
}

func (e *waitError) Error() string   { return e.err.Error() }
func (e *waitError) Unwrap() []error { return []error{e.err, e.cause} }
func (e *waitError) Timeout() bool   { return isTimeout(e.cause) }

// fate is what is known of a request that failed.
type fate uint8

const (
	undelivered fate = iota // it is proved that the server has not seen it, or not acted on it
	unknown                 // bytes left
	refused                 // the failure is net/http's opinion of the request or of its answer, and not the connection's
)

// fateOf tells what became of the newest try.
func (r *request) fateOf(err error) fate {
	l := r.link
	switch {
	case r.body != nil && r.body.failed.Load():
		return refused
	case l.http2 && notProcessed(err):
		return undelivered
	case !l.http2 && l.guard != nil && l.guard.Delivery() == conn.NothingSent && l.lost():
		return undelivered
	case l.cut(), r.req.Context().Err() != nil, isTimeout(err), l.http2 && streamEnded(err):
		return unknown
	default:
		return refused
	}
}

// again decides whether the request is sent once more, and gets it ready. Else it gives the error for the caller.
func (r *request) again(err error) error {
	if r.repeatable() {
		r.maybe = r.maybe || r.fate == unknown
		r.told(0, true, err)
		return nil
	}
	err = r.failed(err)
	r.told(0, false, err)
	return err
}

func (r *request) repeatable() bool {
	if r.spent() || r.req.Context().Err() != nil {
		return false
	}
	switch r.fate {
	case undelivered:
		return r.rewind()
	case unknown:
		// A fresh connection gives no reason to think that the next one does better.
		return r.reused && harmless(r.req) && r.link.lost() && r.rewind()
	default:
		return false
	}
}

// refusedPause is the longest pause before a stream that was refused a second time is sent again; before the next one it is twice that.
const refusedPause = 100 * time.Millisecond

// pause waits before a stream is sent again that the server refused, because that is what a server does which has too much to do. The first time there is none:
// its limit of streams may have become lower while the request was under way. The end of the caller's context ends it, which the next try tells.
func (r *request) pause(err error) {
	if !isRefusedStream(err) {
		return
	}
	if r.refusals++; r.refusals == 1 {
		return
	}
	longest := refusedPause << (r.refusals - 2)
	timer := time.NewTimer(longest/2 + rand.N(longest/2)) //nolint:gosec // a pause, and no secret
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.req.Context().Done():
	}
}

// spent reports whether the request has been sent as often as it may.
func (r *request) spent() bool { return r.tries-r.misses >= triesMost || r.misses >= missesMost }

// harmless reports whether a request may be executed twice: its method is safe (RFC 9110 §9.2.1), or it has a key by which the server tells a
// repetition. PUT and DELETE are idempotent by the same RFC, but not where somebody else writes in between; net/http does not repeat them either.
func harmless(req *http.Request) bool {
	return safe(req) || keyed(req)
}

func safe(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// keyed is true, as in net/http, for a key that is set to nothing too, which is not sent.
func keyed(req *http.Request) bool {
	_, one := req.Header["Idempotency-Key"]
	_, other := req.Header["X-Idempotency-Key"]
	return one || other
}

// rewind gets the request's body from its beginning.
func (r *request) rewind() bool {
	if r.req.Body == nil || r.req.Body == http.NoBody {
		return true
	}
	if r.req.GetBody == nil {
		return false
	}
	body, err := r.req.GetBody()
	if err != nil {
		return false
	}
	r.body.giveUp()
	next := *r.req
	next.Body = body
	r.req = &next
	r.attend()
	return true
}

// failed is the error that the caller gets.
func (r *request) failed(err error) error {
	switch {
	case (r.fate == unknown || r.maybe) && !safe(r.req):
		return &AmbiguousError{Method: methodOf(r.req), Host: r.host.address, Err: err, ended: r.req.Context().Err(), keyed: keyed(r.req)}
	case r.fate == undelivered:
		return &undeliveredError{err, r.whyNotAgain()}
	default:
		return err
	}
}

// whyNotAgain says why a request that was not delivered is not sent once more.
func (r *request) whyNotAgain() string {
	switch {
	case r.req.Context().Err() != nil:
		return "before its context ended"
	case r.spent():
		return fmt.Sprintf("in %d tries", r.tries)
	default:
		return "and its body cannot be read a second time (set GetBody)"
	}
}

// http2StreamError has the fields of net/http's error of one HTTP/2 stream, which can be read by errors.As into any structure with the same.
type http2StreamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e http2StreamError) Error() string {
	return fmt.Sprintf("stream %d ended with code %d", e.StreamID, e.Code)
}

// refusedStream is REFUSED_STREAM (RFC 9113 §7): the server has done nothing with the stream.
const refusedStream = 7

// Texts of net/http for requests that an HTTP/2 server has not processed: it sent a GOAWAY with a lower stream (RFC 9113 §6.8), or the connection was over
// before the request had a stream. They are not exported; a test fails when they change.
var (
	goodbyeTexts  = []string{"http2: Transport received Server's graceful shutdown GOAWAY", "http2: client conn not usable"}
	neverMadeText = "http2: client conn could not be established"
)

// invalidTexts are how net/http begins its errors of requests that it does not even begin to send on a single connection. It does not close their bodies. They
// are not exported; a test fails when they change.
var invalidTexts = []string{"http: nil Request.", "http: invalid header ", "http: invalid trailer ", "http: invalid method ", "http: no Host in "}

// invalid reports whether err says that the request cannot be sent at all.
func invalid(err error) bool {
	text := err.Error()
	return slices.ContainsFunc(invalidTexts, func(known string) bool { return strings.HasPrefix(text, known) })
}

// streamEnded reports whether err is the end of one HTTP/2 stream, by either side.
func streamEnded(err error) bool {
	var s http2StreamError
	return errors.As(err, &s)
}

// takesNoMore reports whether err says that an HTTP/2 connection takes no more requests, though net/http does not take it for closed.
func takesNoMore(err error) bool {
	text := err.Error()
	return slices.ContainsFunc(goodbyeTexts, func(known string) bool { return strings.Contains(text, known) })
}

func isRefusedStream(err error) bool {
	var s http2StreamError
	return errors.As(err, &s) && s.Code == refusedStream
}

// notProcessed reports whether err proves that an HTTP/2 server has not processed the request.
func notProcessed(err error) bool {
	if streamEnded(err) {
		return isRefusedStream(err)
	}
	return takesNoMore(err) || strings.Contains(err.Error(), neverMadeText)
}
