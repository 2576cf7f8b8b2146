package herzsql

import (
	"context"
	"database/sql/driver"
)

// wrappedStmt passes everything on to the driver's statement.
type wrappedStmt struct {
	w      *wrapped
	inner  driver.Stmt
	query  string
	lease  *leaseConn   // in pooled mode: to which it belongs, and on whose connection it rests when it is closed; nil: it is closed for good
	next   *wrappedStmt // of that lease
	failed bool         // it returned an error, so it is closed for good
}

// converterStmt is a wrappedStmt whose driver converts arguments column by column. It is a type of its own because
// database/sql converts differently when the interface is there.
type converterStmt struct {
	wrappedStmt

	convert driver.ColumnConverter //nolint:staticcheck // old drivers
}

// ColumnConverter gives the converter for the column i.
func (s *converterStmt) ColumnConverter(i int) driver.ValueConverter {
	return s.convert.ColumnConverter(i)
}

func (w *wrapped) stmt(s driver.Stmt, err error) driver.Stmt {
	if err != nil {
		return nil
	}
	return w.wrapStmt(s, "", nil)
}

func (w *wrapped) wrapStmt(s driver.Stmt, query string, lease *leaseConn) driver.Stmt {
	ws := wrappedStmt{w: w, inner: s, query: query, lease: lease}
	if c, ok := s.(driver.ColumnConverter); ok { //nolint:staticcheck // old drivers
		cs := &converterStmt{wrappedStmt: ws, convert: c}
		lease.keep(&cs.wrappedStmt)
		return cs
	}
	lease.keep(&ws)
	return &ws
}

// Close closes the statement, or lets it rest for the next lease of its connection. One that failed is not kept: the server
// may have changed what it stands for.
//
// The end of its lease ends it too; closing it then does nothing.
func (s *wrappedStmt) Close() error {
	if s.lease != nil {
		if s.lease.over {
			return nil
		}
		s.lease.forget(s)
	}
	return s.rests()
}

func (s *wrappedStmt) rests() error {
	if s.lease != nil && !s.failed && !s.w.bad {
		return s.lease.phys.stmts.put(s.query, s.inner)
	}
	return s.inner.Close()
}

func (s *wrappedStmt) after(gone bool, err error) error {
	s.failed = s.failed || err != nil
	return s.w.after(gone, lasts, err)
}

func (s *wrappedStmt) answer(r driver.Rows, l *limit, gone bool, err error) (driver.Rows, error) {
	s.failed = s.failed || err != nil
	return s.w.answer(r, l, gone, err)
}

// NumInput is the number of placeholders, or -1.
func (s *wrappedStmt) NumInput() int { return s.inner.NumInput() }

// Exec executes the statement without a context.
func (s *wrappedStmt) Exec(args []driver.Value) (driver.Result, error) {
	gone := s.w.gone()
	r, err := s.inner.Exec(args) //nolint:staticcheck // the driver has no other
	return r, s.after(gone, err)
}

// Query asks for rows without a context.
func (s *wrappedStmt) Query(args []driver.Value) (driver.Rows, error) {
	gone := s.w.gone()
	r, err := s.inner.Query(args) //nolint:staticcheck // the driver has no other
	return s.answer(r, nil, gone, err)
}

// ExecContext executes the statement.
func (s *wrappedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if c, ok := s.inner.(driver.StmtExecContext); ok {
		gone, l := s.w.gone(), s.w.limit(ctx)
		r, err := c.ExecContext(ctx, args)
		return r, l.done(s.after(gone, err))
	}
	values, err := positional(ctx, args)
	if err != nil {
		return nil, err
	}
	return s.Exec(values)
}

// QueryContext asks for rows.
func (s *wrappedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if c, ok := s.inner.(driver.StmtQueryContext); ok {
		gone, l := s.w.gone(), s.w.limit(ctx)
		r, err := c.QueryContext(ctx, args)
		return s.answer(r, l, gone, err)
	}
	values, err := positional(ctx, args)
	if err != nil {
		return nil, err
	}
	return s.Query(values)
}

// CheckNamedValue lets the statement, or else the connection, convert an argument, in the order of database/sql.
func (s *wrappedStmt) CheckNamedValue(v *driver.NamedValue) error {
	if c, ok := s.inner.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(v)
	}
	return s.w.CheckNamedValue(v)
}

// wrappedTx passes a transaction's end on.
type wrappedTx struct {
	w     *wrapped
	inner driver.Tx
	limit *limit // of the context of the whole transaction
}

// Commit commits. When its answer is lost the error is guard.ErrAmbiguous: the transaction may have been committed.
func (t *wrappedTx) Commit() error {
	gone := t.w.gone()
	return t.limit.done(t.w.after(gone, lasts, t.inner.Commit()))
}

// Rollback rolls back. A lost answer does no harm: the server rolls back what has lost its connection.
func (t *wrappedTx) Rollback() error {
	gone := t.w.gone()
	err := t.limit.done(t.w.after(gone, none, t.inner.Rollback()))
	if err != nil {
		t.w.condemn(err) // its transaction may still be open
	}
	return err
}
