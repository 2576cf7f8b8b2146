// Package script says which fault happens when, and makes it happen.
//
// # Contract
//
// A [Plan] is fixed before the run by the names of the faults, the length and the seed. [Run] follows it, and leaves out, with the
// reason, what the kernel refuses. When Run returns, no fault is left.
//
// # Not a goal
//
// Faults do not overlap.
//
// # Concurrency
//
// [Run] uses its caller's goroutine. It tells of changes on that goroutine too.
package script
