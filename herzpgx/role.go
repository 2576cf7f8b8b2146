package herzpgx

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"herz.example/herz/herzsql"
)

// whoQuery names the cluster and the server in it, which a primary and its standbys share only in part. A server is read-only while it recovers, or where
// its configuration says so; what the session has set for itself does not count. pg_settings, which costs the server a quarter of a millisecond, is
// read only where it matters.
const whoQuery = `SELECT system_identifier::text || coalesce('/' || host(inet_server_addr()) || ':' || inet_server_port()::text, ''),
	CASE WHEN pg_is_in_recovery() THEN true
	WHEN current_setting('default_transaction_read_only') = 'off' THEN false
	ELSE (SELECT reset_val = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only') END
	FROM pg_control_system()`

// readOnlyTransaction is SQLSTATE 25006, read_only_sql_transaction (PostgreSQL documentation, appendix A).
const readOnlyTransaction = "25006"

// identity asks over the simple protocol, which needs no prepared statement.
func identity(ctx context.Context, c any) (herzsql.Server, error) {
	results, err := ask(ctx, c, whoQuery)
	switch {
	case err != nil:
		return herzsql.Server{}, err
	case len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 2:
		return herzsql.Server{}, errors.New("herz/herzpgx: the server did not answer with one row of two columns")
	}
	row := results[0].Rows[0]
	return herzsql.Server{Name: string(row[0]), ReadOnly: string(row[1]) == "t"}, nil
}

// ask runs one statement over the simple protocol and reads its answer to the end.
func ask(ctx context.Context, c any, statement string) ([]*pgconn.Result, error) {
	var pc *pgconn.PgConn
	switch c := c.(type) {
	case *stdlib.Conn:
		pc = c.Conn().PgConn()
	case *pgx.Conn:
		pc = c.PgConn()
	default:
		return nil, fmt.Errorf("herz/herzpgx: %T is no connection of pgx", c)
	}
	results, err := pc.Exec(ctx, statement).ReadAll()
	if err != nil && pc.IsClosed() {
		err = fmt.Errorf("%w: %w", driver.ErrBadConn, err)
	}
	return results, err
}

// query runs a validation query.
func query(ctx context.Context, c any, q string) error {
	results, err := ask(ctx, c, q)
	switch {
	case err != nil:
		return err
	case len(results) == 0 || len(results[0].Rows) == 0:
		return herzsql.ErrNoRow
	default:
		return nil
	}
}

// wrongRole names the error of a server that refuses to write because of its role.
func wrongRole(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == readOnlyTransaction
}

// onRefused has told called when a server refuses to write because of its role.
func onRefused(cfg *pgconn.Config, told func(net.Conn)) {
	own := cfg.OnPgError
	cfg.OnPgError = func(c *pgconn.PgConn, e *pgconn.PgError) bool {
		if e.Code == readOnlyTransaction {
			told(c.Conn())
		}
		return own == nil || own(c, e)
	}
}
