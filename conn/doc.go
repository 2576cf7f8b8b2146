// Package conn names the states of one connection, the moves between them, why a connection ended, and what is known
// about the delivery of a request.
//
// Contract: [Cell.Move] is the only code in Herz that changes the state of a connection, and it refuses every move that
// the table of legal moves does not have. A connection that has once been found [Stale] can only be closed.
//
// Not a goal: it opens, checks and closes nothing, has no clock and starts no goroutine. It imports nothing of Herz.
//
// Concurrency: a Cell may be used by any number of goroutines. All other types are plain values.
package conn
