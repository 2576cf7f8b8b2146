// Package conformance runs the public test cases of the MongoDB connection monitoring and pooling specification against pool.Pool.
//
// Contract: every case of style "unit" that applies passes; each one that is left out stands in the list with its reason.
//
// Not a goal: it has no code for others. The cases are read from the driver's module as it is published; nothing is copied.
//
// Concurrency: none.
package conformance
