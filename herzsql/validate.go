package herzsql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"herz.example/herz/pool"
)

// WithValidationQuery has every ping run the query in place of the driver's own ping: that of a loan ([pool.Limits].PingAfter, TestOnBorrow) and, in
// pooled mode, that of a heartbeat. A new connection is asked as well, so that a query which the server does not understand fails at the
// first dial, with the server's own words. The query has to return a row, as SELECT 1 does, and has the time that a ping has. Who the server is
// is asked beside it. Empty or absent: the driver's own ping. It does not change while the database is open. (*sql.DB).Ping stays the driver's.
func WithValidationQuery(query string) Option { return func(s *settings) { s.validation = query } }

// ErrNoRow says that a validation query was answered, and not with a row.
var ErrNoRow = errors.New("herz/herzsql: the answer has no row; use a query that has one, such as SELECT 1")

// invalid is the error of a validation query. It is not the error of a statement of the caller: that it was not answered means nothing to him.
type invalid struct {
	query    string
	ctx, err error
}

func (e *invalid) Error() string {
	return fmt.Sprintf("the validation query %q failed: %v", e.query, e.err)
}

// Unwrap gives the end of the context, where that was the reason.
func (e *invalid) Unwrap() error { return e.ctx }

// validate runs the validation query.
func (a asker) validate(ctx context.Context, c any) error {
	if err := a.run(ctx, c, a.query); err != nil {
		return &invalid{query: a.query, ctx: ctx.Err(), err: err}
	}
	return nil
}

// validateNew asks a connection that was just dialled.
func (a asker) validateNew(ctx context.Context, c any) error {
	if a.query == "" {
		return nil
	}
	return a.validate(ctx, c)
}

// probing puts the validation query, where there is one, in the place of the driver's ping.
func (a asker) probing(p Probe) Probe {
	if a.query != "" && p.Conn != nil {
		c := p.Conn
		p.Ping = func(ctx context.Context) error { return a.validate(ctx, c) }
	}
	return p
}

// runQuery runs a query by the interfaces of database/sql/driver and reads its answer.
func runQuery(ctx context.Context, c any, query string) (err error) {
	inner, ok := c.(driver.Conn)
	if !ok {
		return fmt.Errorf("herz/herzsql: %T cannot run a query: its adapter has no Driver.Query", c)
	}
	rows, done, err := rowsOf(ctx, inner, query)
	defer func() { err = errors.Join(err, done()) }()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if err = rows.Next(make([]driver.Value, len(rows.Columns()))); err == io.EOF { //nolint:errorlint // the contract of driver.Rows
		return ErrNoRow
	}
	return err
}

// rowsOf asks for rows directly, or through a prepared statement where the driver knows no other way; done closes that.
func rowsOf(ctx context.Context, c driver.Conn, query string) (_ driver.Rows, done func() error, _ error) {
	done = func() error { return nil }
	if q, ok := c.(driver.QueryerContext); ok {
		rows, err := q.QueryContext(ctx, query, nil)
		if err != driver.ErrSkip { //nolint:errorlint // database/sql compares it as it is
			return rows, done, err
		}
	}
	st, err := prepare(ctx, c, query)
	if err != nil {
		return nil, done, err
	}
	if q, ok := st.(driver.StmtQueryContext); ok {
		rows, err := q.QueryContext(ctx, nil)
		return rows, st.Close, err
	}
	rows, err := st.Query(nil) //nolint:staticcheck // the driver has no other
	return rows, st.Close, err
}

// CheckLimits reports why [View.SetLimits] would refuse l, and changes nothing. Nil: it would not, while the database is open.
func (v *View) CheckLimits(l pool.Limits) error {
	switch {
	case v.pool != nil:
		return l.Check()
	case v.book != nil:
		_, err := guardedLimits(l)
		return err
	default:
		return v.SetLimits(l)
	}
}
