// Package herzpq puts the guard under github.com/lib/pq.
//
// # Contract
//
// Importing it registers the driver "postgres" with herzsql, so that herzsql.Open("postgres", dsn) and herzsql.OpenPooled work.
// [Guard] does the same for a *pq.Connector of one's own. A lost answer, which the driver reports as driver.ErrBadConn so that
// database/sql sends the statement again, is guard.ErrAmbiguous behind herzsql and is sent once. A call ends soon after its
// context, which the driver alone does not see to where its peer has fallen silent.
//
// # Not a goal
//
// It changes no setting of the driver but the dialer. pq.Listener dials for itself and is not guarded.
//
// # Concurrency
//
// It keeps no state and starts no goroutine.
package herzpq
