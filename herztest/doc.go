// Package herztest helps tests of code that uses Herz.
//
// Contract: what it reports is an error of the test, with the place where a lease was taken or a goroutine stands.
//
// Not a goal: it is no mock of a pool; a real pool over in-memory connections is as quick.
//
// Concurrency: its functions are called from the test's goroutine.
package herztest
