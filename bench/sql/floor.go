package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// floorName is what database/sql itself costs a pool that lies under it: bare connections in a channel, no guard, no line, no limit, no look at what
// is lent; each loan is a connection to database/sql, as in pooled mode.
const floorName = "floor"

// floor is the connector.
type floor struct {
	driver.Connector

	free chan *kept
}

// kept is one connection with its prepared statements.
type kept struct {
	driver.Conn

	stmts map[string]driver.Stmt
}

// lent is a loan.
type lent struct {
	*kept

	of *floor
}

// resting is a prepared statement that its connection keeps.
type resting struct{ driver.Stmt }

func openFloor(ctx context.Context, driverName, dsn string) (*sql.DB, func() error, error) {
	known, err := sql.Open(driverName, dsn) // for its driver; it dials nothing
	if err != nil {
		return nil, nil, err
	}
	defer known.Close()
	d, ok := known.Driver().(driver.DriverContext)
	if !ok {
		return nil, nil, errors.New("the driver has no connector")
	}
	inner, err := d.OpenConnector(dsn)
	if err != nil {
		return nil, nil, err
	}
	f := &floor{inner, make(chan *kept, connections)}
	for range connections {
		c, err := inner.Connect(ctx)
		if err != nil {
			return nil, nil, errors.Join(err, f.Close())
		}
		f.free <- &kept{c, map[string]driver.Stmt{}}
	}
	db := sql.OpenDB(f)
	db.SetMaxIdleConns(-1)
	return db, func() error { return errors.Join(db.Close(), f.Close()) }, nil
}

// Connect waits for a connection.
func (f *floor) Connect(ctx context.Context) (driver.Conn, error) {
	select {
	case k := <-f.free:
		if r, ok := k.Conn.(driver.SessionResetter); ok {
			if err := r.ResetSession(ctx); err != nil {
				f.free <- k // for Close
				return nil, err
			}
		}
		return &lent{k, f}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close closes what is free.
func (f *floor) Close() (all error) {
	for {
		select {
		case k := <-f.free:
			all = errors.Join(all, k.Conn.Close())
		default:
			return all
		}
	}
}

func (l *lent) IsValid() bool { return false }

func (l *lent) Close() error {
	l.of.free <- l.kept
	return nil
}

func (l *lent) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	q, ok := l.Conn.(driver.QueryerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	return q.QueryContext(ctx, query, args)
}

func (l *lent) CheckNamedValue(v *driver.NamedValue) error {
	if c, ok := l.Conn.(driver.NamedValueChecker); ok {
		return c.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (l *lent) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s := l.stmts[query]
	if s == nil {
		p, ok := l.Conn.(driver.ConnPrepareContext)
		if !ok {
			return nil, driver.ErrSkip
		}
		var err error
		if s, err = p.PrepareContext(ctx, query); err != nil {
			return nil, err
		}
		l.stmts[query] = s
	}
	return resting{s}, nil
}

// Close lets the statement rest.
func (resting) Close() error { return nil }

func (r resting) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	q, ok := r.Stmt.(driver.StmtQueryContext)
	if !ok {
		return nil, errors.New("the driver's statement takes no context")
	}
	return q.QueryContext(ctx, args)
}
