// Package load is the users: workers that ask a client over HTTP and write down what they got.
//
// # Contract
//
// Each worker has one request out at a time and thinks between them. The same seed makes the same requests in the same order for every
// client.
//
// # Not a goal
//
// To measure throughput.
//
// # Concurrency
//
// A [Gate] may be used by any number of goroutines. [Run] returns when all its workers have ended.
package load
