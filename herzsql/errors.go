package herzsql

import (
	"database/sql/driver"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// refusal is an error that came before anything of the statement was sent. It is driver.ErrBadConn, so database/sql
// takes another connection where it may; inside a transaction or a *sql.Conn it reaches the caller with its reason.
type refusal struct {
	reason error
	safe   bool // nothing at all was sent since the connection was borrowed
}

func (e *refusal) Error() string {
	return "herz/herzsql: connection refused before use: " + e.reason.Error()
}

// Is makes the refusal what database/sql looks for.
func (e *refusal) Is(target error) bool { return target == driver.ErrBadConn }

// Unwrap gives the reason, a *guard.DeadError where the socket was dead.
func (e *refusal) Unwrap() error { return e.reason }

// SafeToRetry reports whether the whole piece of work may be repeated: true where it had sent nothing yet.
func (e *refusal) SafeToRetry() bool { return e.safe }

// lost is a statement that was sent and whose answer did not come. It is guard.ErrAmbiguous and the error of the
// driver, and never driver.ErrBadConn, which database/sql would repeat.
type lost struct {
	facts *guard.AmbiguousError
	from  error // what the driver said; nil when that would be taken for "repeat me"
}

func (e *lost) Error() string {
	if e.from == nil {
		return "herz/herzsql: " + e.facts.Error()
	}
	return "herz/herzsql: " + e.from.Error() + ": " + e.facts.Error()
}

// Unwrap gives the facts of the guard and the error of the driver.
func (e *lost) Unwrap() []error {
	if e.from == nil {
		return []error{e.facts}
	}
	return []error{e.facts, e.from}
}

// As notes that the caller asks for the facts, and leaves it to errors.As to find them.
func (e *lost) As(target any) bool {
	if _, facts := target.(**guard.AmbiguousError); facts {
		e.SafeToRetry()
	}
	return false
}

// SafeToRetry reports false: the statement may have been executed.
func (e *lost) SafeToRetry() bool { return e.facts.SafeToRetry() }

// ended says how a connection ended, where nothing was sent on it any more. It is guard.ErrDead.
type ended struct{ death conn.Death }

func (e *ended) Error() string { return e.death.String() }

// Is matches guard.ErrDead.
func (e *ended) Is(target error) bool { return target == guard.ErrDead }
