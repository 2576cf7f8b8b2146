// Package demo shows, side by side, how pools fail silently and how Herz does not.
//
// # Contract
//
// [Run] starts two servers, a fault proxy before each, five clients that serve HTTP from them, their users, and a live page; follows the script
// of faults; and gives a [Report] whose verdict is computed from what the users saw and the servers executed. When it returns, nothing of it is left.
//
// # Not a goal
//
// It measures no throughput.
//
// # Concurrency
//
// Several runs may go on at the same time.
package demo
