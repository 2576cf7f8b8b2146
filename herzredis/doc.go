// Package herzredis puts the guard under github.com/redis/go-redis/v9, and takes from it the decision to repeat.
//
// # Contract
//
// go-redis repeats a command on its own when its answer did not come in time, up to three times: one INCR can count four.
// A client made by [NewClient] repeats a command only where the guard proves that it was not delivered. Everything else ends
// with an error that is guard.ErrAmbiguous where the command may have been executed. A connection that was silent for a second
// is pinged before the next command is written to it.
//
// # Not a goal
//
// Cluster and ring clients are not handled.
//
// # Concurrency
//
// It starts no goroutine. The connections of one client share one number: when their server last failed to answer a ping.
package herzredis
