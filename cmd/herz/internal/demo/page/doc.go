// Package page holds the live page of `herz demo`.
//
// Contract: [Handler] serves the page built from web/ into dist; the page asks its server for api/demo/events and nobody else.
//
// Not a goal: it knows nothing of clients and faults, and builds nothing.
//
// Concurrency: the handler may be used by any number of goroutines.
package page
