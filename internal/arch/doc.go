// Package arch holds the tests of the repository's shape: who may import whom, what every package must have, and which files are
// generated from which source.
//
// Contract: `go test ./internal/arch` fails when the shape and what is written of it differ; `go test ./internal/arch -run Generated
// -args -update` writes the generated files anew.
//
// Not a goal: it has no code for others.
//
// Concurrency: none.
package arch
