package herzsql

import (
	"context"
	"database/sql/driver"
	"errors"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// wrapped passes everything on to the driver's connection and puts the facts of the guard in the place of what the driver
// hides. Each optional interface of database/sql/driver is there; where the driver's connection lacks one, the method
// does what database/sql does without it. database/sql never uses a connection from two goroutines at once.
type wrapped struct {
	inner driver.Conn
	g     *guard.Conn // nil when the driver did not dial through a guard
	facts Driver      // what is known about the driver
	bad   bool        // must not go back to any pool
	why   error       // what made it bad

	cuts    *cuts // nil: its driver passes the guard's errors on, and they are followed elsewhere
	refused bool  // its server refused a write because of its role
}

func (w *wrapped) condemn(why error) {
	if !w.bad {
		w.bad, w.why = true, why
	}
}

// Unwrap gives the driver's own connection; see the function [Unwrap].
func (w *wrapped) Unwrap() driver.Conn { return w.inner }

// effect says what a call can leave behind on the server when its answer is lost.
type effect bool

const (
	none  effect = false // nothing that outlives the connection
	lasts effect = true  // work that may have been done
)

// gone reports whether the connection was dead before the call, so that the call cannot have sent anything.
func (w *wrapped) gone() bool { return w.g != nil && w.g.Dead() }

// after judges the error of a call.
func (w *wrapped) after(gone bool, what effect, err error) error {
	if err == nil || err == driver.ErrSkip { //nolint:errorlint // database/sql compares ErrSkip as it is
		return err
	}
	if w.facts.WrongRole != nil && w.facts.WrongRole(err) {
		w.refused = true
		return err
	}
	bad := errors.Is(err, driver.ErrBadConn)
	hidden := w.facts.Hides != nil && w.facts.Hides(err)
	if bad || hidden {
		w.condemn(err)
	}
	switch {
	case w.g == nil:
		return err
	case bad:
		return w.afterBad(gone, what, err)
	case hidden:
		return w.afterHidden(gone, err)
	}
	// A driver that returns at the end of the context and does not close the connection would let the next user read this
	// user's answer.
	if ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded); ended && w.g.Delivery() != conn.NothingSent {
		w.condemn(err)
	}
	return err
}

// afterBad judges driver.ErrBadConn, which database/sql repeats. It may stand only where nothing was executed: the guard
// refused, or the driver gave up by itself after a complete answer (mysql's rejectReadOnly).
func (w *wrapped) afterBad(gone bool, what effect, err error) error {
	death, dead := w.g.Death()
	sent := w.g.Delivery()
	// The driver may have met a goodbye of TLS, which the guard cannot read, or a fatal error, which a pooler sends in place of a lost answer too.
	if what == lasts && !gone && !w.facts.BadConnProves && sent != conn.NothingSent {
		if !dead {
			death = w.unread(err)
		}
		return &lost{facts: &guard.AmbiguousError{Death: death}}
	}
	if !dead {
		return err
	}
	return &refusal{reason: &ended{death}, safe: sent == conn.NothingSent}
}

// afterHidden judges an error behind which the driver hides that a read failed.
func (w *wrapped) afterHidden(gone bool, err error) error {
	death, dead := w.g.Death()
	if gone && dead {
		return errors.Join(err, &ended{death})
	}
	if w.g.Delivery() == conn.NothingSent {
		return err
	}
	if !dead {
		death = w.unread(err)
	}
	return &lost{facts: &guard.AmbiguousError{Death: death}, from: err}
}

// unread is the record of a connection that its driver gave up with err, and whose end the guard has not seen.
func (w *wrapped) unread(err error) conn.Death {
	return conn.Death{ID: w.g.ID(), Peer: peerOf(w.g), Cause: conn.Error, Phase: "processing", Detail: err.Error()}
}

// fit reports whether the connection may go back to a pool.
func (w *wrapped) fit() bool {
	if w.bad {
		return false
	}
	if w.g != nil {
		if _, condemned := w.g.Condemned(); condemned || w.g.Dead() {
			return false
		}
	}
	v, ok := w.inner.(driver.Validator)
	return !ok || v.IsValid()
}

// Ping asks the server for a sign of life; a driver that cannot is taken to be alive, as by database/sql.
func (w *wrapped) Ping(ctx context.Context) error {
	p, ok := w.inner.(driver.Pinger)
	if !ok {
		return nil
	}
	gone, l := w.gone(), w.limit(ctx)
	return l.done(w.after(gone, none, p.Ping(ctx)))
}

// ExecContext executes a statement; driver.ErrSkip sends database/sql to Prepare.
func (w *wrapped) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	gone := w.gone()
	switch c := w.inner.(type) {
	case driver.ExecerContext:
		l := w.limit(ctx)
		r, err := c.ExecContext(ctx, query, args)
		return r, l.done(w.after(gone, lasts, err))
	case driver.Execer: //nolint:staticcheck // drivers that have only the old interface
		values, err := positional(ctx, args)
		if err != nil {
			return nil, err
		}
		r, err := c.Exec(query, values)
		return r, w.after(gone, lasts, err)
	default:
		return nil, driver.ErrSkip
	}
}

// QueryContext asks for rows; driver.ErrSkip sends database/sql to Prepare.
func (w *wrapped) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	gone := w.gone()
	switch c := w.inner.(type) {
	case driver.QueryerContext:
		l := w.limit(ctx)
		r, err := c.QueryContext(ctx, query, args)
		return w.answer(r, l, gone, err)
	case driver.Queryer: //nolint:staticcheck // drivers that have only the old interface
		values, err := positional(ctx, args)
		if err != nil {
			return nil, err
		}
		r, err := c.Query(query, values)
		return w.answer(r, nil, gone, err)
	default:
		return nil, driver.ErrSkip
	}
}

// Exec is the old interface, for those who ask for it through (*sql.Conn).Raw.
func (w *wrapped) Exec(query string, args []driver.Value) (driver.Result, error) {
	c, ok := w.inner.(driver.Execer) //nolint:staticcheck // see above
	if !ok {
		return nil, driver.ErrSkip
	}
	gone := w.gone()
	r, err := c.Exec(query, args)
	return r, w.after(gone, lasts, err)
}

// Query is the old interface, for those who ask for it through (*sql.Conn).Raw.
func (w *wrapped) Query(query string, args []driver.Value) (driver.Rows, error) {
	c, ok := w.inner.(driver.Queryer) //nolint:staticcheck // see above
	if !ok {
		return nil, driver.ErrSkip
	}
	gone := w.gone()
	r, err := c.Query(query, args)
	return w.answer(r, nil, gone, err)
}

// Prepare prepares a statement without a context.
func (w *wrapped) Prepare(query string) (driver.Stmt, error) {
	gone := w.gone()
	s, err := w.inner.Prepare(query)
	return w.stmt(s, err), w.after(gone, none, err)
}

// PrepareContext prepares a statement.
func (w *wrapped) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	gone, l := w.gone(), w.limit(ctx)
	s, err := prepare(ctx, w.inner, query)
	return w.stmt(s, err), l.done(w.after(gone, none, err))
}

func prepare(ctx context.Context, inner driver.Conn, query string) (driver.Stmt, error) {
	if c, ok := inner.(driver.ConnPrepareContext); ok {
		return c.PrepareContext(ctx, query)
	}
	s, err := inner.Prepare(query)
	if err == nil && ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), s.Close())
	}
	return s, err
}

// Begin starts a transaction without a context.
func (w *wrapped) Begin() (driver.Tx, error) {
	return w.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx starts a transaction.
func (w *wrapped) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	gone, l := w.gone(), w.limit(ctx)
	tx, err := begin(ctx, w.inner, o)
	if err != nil {
		return nil, l.done(w.after(gone, none, err))
	}
	return &wrappedTx{w: w, inner: tx, limit: l}, nil
}

func begin(ctx context.Context, inner driver.Conn, o driver.TxOptions) (driver.Tx, error) {
	if c, ok := inner.(driver.ConnBeginTx); ok {
		return c.BeginTx(ctx, o)
	}
	if o.Isolation != 0 {
		return nil, errors.New("sql: driver does not support non-default isolation level")
	}
	if o.ReadOnly {
		return nil, errors.New("sql: driver does not support read-only transactions")
	}
	tx, err := inner.Begin() //nolint:staticcheck // the driver has no other
	if err == nil && ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), tx.Rollback())
	}
	return tx, err
}

// CheckNamedValue lets the driver convert an argument; driver.ErrSkip leaves it to database/sql.
func (w *wrapped) CheckNamedValue(v *driver.NamedValue) error {
	if c, ok := w.inner.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// The texts of these errors are database/sql's own, which applications may know.

// positional is what database/sql does for a driver that knows no contexts and no named arguments.
func positional(ctx context.Context, named []driver.NamedValue) ([]driver.Value, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	values := make([]driver.Value, len(named))
	for i, v := range named {
		if v.Name != "" {
			return nil, errors.New("sql: driver does not support the use of Named Parameters")
		}
		values[i] = v.Value
	}
	return values, nil
}
