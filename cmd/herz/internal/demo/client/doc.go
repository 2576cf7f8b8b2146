// Package client has the five clients that the demo compares.
//
// # Contract
//
// Every client serves the same two requests over HTTP on loopback, by the same handler: `GET /read?key=K` answers with the value of
// K, `POST /add?request=R` counts R once. A client that gives no value and no error makes a 200 with an empty body. All dial through
// a [Tap], which sees each of them from outside in the same way.
//
// # Not a goal
//
// It judges nothing.
//
// # Concurrency
//
// All methods may be called by any number of goroutines.
package client
