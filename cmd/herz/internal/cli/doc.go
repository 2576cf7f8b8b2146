// Package cli reads the command line of herz and tells its caller the exit code.
//
// # Contract
//
// 0: all is well. 1: what was shown or checked is not well. 2: the command cannot do what it was told, and one sentence on
// standard error says what to change.
//
// # Not a goal
//
// It does no work itself.
//
// # Concurrency
//
// [Main] may be called by any number of goroutines.
package cli
