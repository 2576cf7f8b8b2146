// Package server runs the two servers that the demo needs, in this process and on loopback: one that speaks MySQL's protocol and
// one that speaks Redis'.
//
// # Contract
//
// Both hold the same values to read, and both know how many times each request to add was executed. What they know is exact:
// it is counted where the statement is executed, not where an answer is sent.
//
// # Not a goal
//
// They are no databases: what is not needed by the demo is missing or slow.
//
// # Concurrency
//
// All methods may be called by any number of goroutines.
package server
