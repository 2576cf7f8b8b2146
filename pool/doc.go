// Package pool lends connections of any kind and never lends a stale one.
//
// # Contract
//
// A connection is borrowed ([Pool.Acquire]), checked, used and returned ([Lease.Release]) or given up
// ([Lease.Discard]). Before each loan the pool asks, in this order: is its death flag set, is it of the present
// generation, is its lifetime over, what does the kernel say (after silence), does it answer a ping (after a second of
// silence). A connection that fails any of these is closed, and the next one is tried.
//
// Waiters are served strictly in the order in which they came. Heartbeats take the connection out of the pool first and
// destroy it when it does not answer. No check, reset or close of one connection holds up the users of the others.
//
// # Not a goal
//
// The pool knows no protocol: it opens, pings, resets and closes through the functions in [Config].
//
// # Concurrency
//
// All methods of [Pool] and [Lease] may be called by any number of goroutines. A pool has one maintenance goroutine; dials,
// pings, resets and closes run on goroutines that live as long as the call and are bounded in number.
package pool
