// Package owner names what runs of the lab leave on a machine, so that a later run can tell what a
// crashed one left behind.
//
// # Contract
//
// A name carries the process id of its owner. [Gone] is true only for a name of this scheme whose owner does not live.
//
// # Not a goal
//
// A process id that was given to another program hides what its former owner left.
//
// # Concurrency
//
// All functions may be called by any number of goroutines.
package owner
