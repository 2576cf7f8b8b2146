package herzsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// retryFor bounds [Retry] where its context has no deadline.
const retryFor = 10 * time.Second

// Retry borrows a connection, runs work on it, and returns it. It does so again, after a pause, only where it is proved that nothing
// of the work has reached the server: no connection was to be had, or the connection refused the first statement before
// a byte of it was sent. Whatever may have been executed is never repeated: its error, guard.ErrAmbiguous among others, is returned.
//
// It goes on until ctx ends, and for at most ten seconds where ctx has no deadline. The pauses grow from 10 ms to 1 s. The
// error is that of the last attempt, with the number of attempts where there were several.
//
// All statements of the work must go through c, in a transaction where they belong together (c.BeginTx): what is done past it, by another
// database or by db itself, is done again with each attempt. The proof is of this connection and not of the error alone, so that
// an error that work brings from elsewhere repeats nothing once c has sent something. For a database that Herz did not open nothing is proved, and work runs
// once it has a connection.
func Retry(ctx context.Context, db *sql.DB, work func(ctx context.Context, c *sql.Conn) error) error {
	until, cancel := ctx, func() {}
	if _, bounded := ctx.Deadline(); !bounded {
		until, cancel = context.WithTimeout(ctx, retryFor)
	}
	defer cancel()
	var before error
	for n := 1; ; n++ {
		unsent, err := attempt(ctx, until, db, work)
		if err == nil {
			return nil
		}
		if before != nil && until.Err() != nil && errors.Is(err, until.Err()) {
			err = fmt.Errorf("%w; the attempt before: %w", err, before) // the end of the time does not say what it was spent on
		}
		if !unsent || !pauseBefore(until, n) {
			return numbered(err, n)
		}
		before = err
	}
}

// numbered says how many attempts there were, where there were several.
func numbered(err error, n int) error {
	if n == 1 {
		return err
	}
	return fmt.Errorf("attempt %d: %w", n, err)
}

// attempt runs the work once, on a connection that is to be had before the end of until. It reports whether it is proved that nothing of the
// work was sent.
func attempt(ctx, until context.Context, db *sql.DB, work func(context.Context, *sql.Conn) error) (unsent bool, err error) {
	c, err := db.Conn(until)
	if err != nil {
		return true, err
	}
	defer c.Close()
	g := socketOf(c, driverOwning(db.Driver()))
	if err := work(ctx, c); err != nil {
		// Where nothing was sent, database/sql's word for a connection that refused is proof enough.
		refused := guard.SafeToRetry(err) || errors.Is(err, driver.ErrBadConn)
		return refused && g != nil && g.Delivery() == conn.NothingSent, err
	}
	return false, nil
}

// socket is the guard under the connection, or nil.
func (w *wrapped) socket() *guard.Conn { return w.g }

// socketOf is the guard under c; nil where it cannot be told.
func socketOf(c *sql.Conn, facts Driver) (g *guard.Conn) {
	_ = c.Raw(func(driverConn any) error {
		if w, ok := driverConn.(interface{ socket() *guard.Conn }); ok {
			g = w.socket()
		} else if facts.Socket != nil {
			g, _ = guard.From(facts.Socket(driverConn))
		}
		return nil
	})
	return g
}

// pauseBefore waits before attempt n+1. It is false when there is no time for another one before the end of until.
func pauseBefore(until context.Context, n int) bool {
	pause := backoff(n)
	if end, _ := until.Deadline(); time.Until(end) <= pause {
		return false
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-until.Done():
		return false
	}
}
