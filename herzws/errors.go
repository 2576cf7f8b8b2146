package herzws

import (
	"errors"
	"fmt"

	"herz.example/herz/conn"
)

// Errors that callers decide by.
var (
	// ErrClosed: the connection is closing or closed, and nothing was sent.
	ErrClosed = errors.New("herz/herzws: the connection is closed, nothing was sent")
	// ErrSlow: the peer reads too slowly, its queue is full, and this message was not sent.
	ErrSlow = errors.New("herz/herzws: the peer reads too slowly and its queue is full, this message was not sent; raise QueueBytes or send less")
	// ErrLegacy: the client is in legacy mode, which carries heartbeats only; nothing was sent.
	ErrLegacy = errors.New("herz/herzws: legacy mode carries heartbeats and no messages, nothing was sent")
	// ErrUTF8: a text message is not UTF-8; nothing was sent (RFC 6455, section 5.6).
	ErrUTF8 = errors.New("herz/herzws: a text message has to be UTF-8, nothing was sent; send it as Binary")
)

// Code is a close code (RFC 6455, section 7.4).
type Code uint16

// Close codes that this package sends or explains.
const (
	CodeNormal         Code = 1000
	CodeGoingAway      Code = 1001
	CodeProtocol       Code = 1002
	CodeNone           Code = 1005 // the peer's Close frame had none; never on the wire
	CodeAbnormal       Code = 1006 // there was no Close frame; never on the wire
	CodeInvalidPayload Code = 1007
	CodePolicy         Code = 1008
	CodeTooBig         Code = 1009
	CodeServiceRestart Code = 1012 // IANA's registry: come again, elsewhere or otherwise
	CodeTryAgainLater  Code = 1013
)

// CloseError says how a connection ended: it is what OnClose is given.
type CloseError struct {
	Code   Code       // of the Close frame that came first, ours or the peer's; CodeAbnormal when there was none
	Reason string     // that stood in it, or what was wrong
	Ours   bool       // we began
	Clean  bool       // both Close frames were exchanged
	Cause  conn.Cause // in the words of all of Herz
	Err    error      // of the read or write that failed; nil: none did
}

// Error tells who ended it and why.
func (e *CloseError) Error() string {
	who := "the peer"
	if e.Ours {
		who = "we"
	}
	text := fmt.Sprintf("herz/herzws: %s ended the connection: %v, code %d", who, e.Cause, e.Code)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the error of the read or write that failed.
func (e *CloseError) Unwrap() error { return e.Err }

// Is reports that a closed connection is ErrClosed.
func (e *CloseError) Is(target error) bool { return target == ErrClosed }

// violation is what a peer did against the protocol, and the close code for it.
type violation struct {
	code Code
	what string
}

// Error names it.
func (v *violation) Error() string { return v.what }
