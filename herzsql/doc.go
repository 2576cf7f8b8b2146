// Package herzsql gives a genuine *sql.DB whose connections do not fail silently.
//
// # Contract
//
// [Open] and [OpenConnector] keep database/sql's own pool and put the guard under it (guarded mode). [OpenPooled] and
// [OpenPooledConnector] put a [pool.Pool] under it (pooled mode). In both modes:
//
//   - A connection that is dead is not lent: it is refused with driver.ErrBadConn before a byte leaves, so that
//     database/sql takes another one.
//   - A connection idle for longer than Limits.PingAfter is pinged before it is lent. Ping and dial share one budget,
//     Limits.HeartbeatTimeout.
//   - A statement whose answer did not come ends with [guard.ErrAmbiguous] and is never repeated.
//   - No wait is endless: without a deadline of the caller, a statement in flight ends within Limits.HeartbeatTimeout
//     of the moment when its peer has gone.
//
// A driver plugs in by an import: `import _ "herz.example/herz/herzmysql"`.
//
// # Not a goal
//
// It parses no SQL, rewrites no statement and repeats none by itself; database/sql repeats what was refused.
//
// # Concurrency
//
// All functions may be called by any number of goroutines. Guarded mode starts no goroutine; pooled mode has those of
// its pool.
package herzsql
