// Package herzpgx puts the guard under github.com/jackc/pgx/v5, in its three forms.
//
// # Contract
//
// Importing it registers the drivers "pgx" and "pgx/v5" with herzsql. In guarded mode the connections stay pgx's own:
// (*sql.Conn).Raw gives a *stdlib.Conn. [Connector] does the same for a *pgx.ConnConfig of one's own, [Guard] guards single
// connections, and [GuardPool] a pgxpool.
//
// # Not a goal
//
// It changes no setting of pgx but the dial function, the check of a connection before it is used again, and, where none is
// set, the time-outs that keep a call within its budget.
//
// # Concurrency
//
// It keeps no state and starts no goroutine.
package herzpgx
