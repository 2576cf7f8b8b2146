// Package live shows a run of the demo while it goes on.
//
// # Contract
//
// `GET /api/demo` answers with one [State] as JSON, `GET /api/demo/events` with a stream of them (server-sent events, four a second), of
// which the last has Done. Only requests to a loopback name are answered, so that no page elsewhere can read it by a name of its own.
//
// # Not a goal
//
// It keeps nothing and decides nothing: the state is made by who runs the demo.
//
// # Concurrency
//
// Handlers may be used by any number of goroutines. It starts none.
package live
