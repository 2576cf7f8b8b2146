// Package record is what the benches have in common: where they ran, how figures are made out of windows, and how results are put down.
//
// # Contract
//
// A figure is a median; its bounds are order statistics of the same list, which assume nothing of how noise is distributed. A target that
// could not be judged counts as missed.
//
// # Not a goal
//
// It measures nothing, and knows no pool and no server.
//
// # Concurrency
//
// All of it belongs to the goroutine that runs the bench.
package record
