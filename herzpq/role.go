package herzpq

import (
	"context"
	"errors"

	"github.com/lib/pq"

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

func identity(ctx context.Context, c any) (herzsql.Server, error) {
	return herzsql.AskServer(ctx, c, whoQuery)
}

// wrongRole names the error of a server that refuses to write because of its role.
func wrongRole(err error) bool {
	var e *pq.Error
	return errors.As(err, &e) && string(e.Code) == readOnlyTransaction
}
