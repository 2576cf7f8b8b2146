// Package story is what the examples tell: accounts are made, money moves from one to another, a transfer that would overdraw is rolled back,
// balances are asked by a prepared statement, and all rows are streamed.
//
// # Contract
//
// [Main] opens the database, lets a [Library] do each step, and holds what came of it against what must be. It says so on one line for each step.
// It exits with 0 when all is right, 1 with a sentence when it is not, 2 for wrong usage.
//
// # Not a goal
//
// It knows no library, and writes no SQL.
//
// # Concurrency
//
// A story is told by one goroutine.
package story
