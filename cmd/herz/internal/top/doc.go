// Package top shows the board of a program in a terminal.
//
// # Contract
//
// A [Snapshot] is what the board's api/snapshot gives; [Render] turns one, and the one before it, into a screen of text that is never wider nor higher than it
// is told. Words of others, such as names and errors, are made harmless first: they cannot move the cursor. [Run] asks, draws and heeds keys and mouse.
//
// # Not a goal
//
// Changing pools: herz pool does that, with a token and a record.
//
// # Concurrency
//
// Render keeps nothing. Run owns the terminal until it returns.
package top
