// Package board shows the connections of a process as a web page: the connection wall.
//
// # Contract
//
// [New] gives an http.Handler for /debug/herz/. It has the page, one snapshot as JSON (api/snapshot), and the same snapshot
// every second as server-sent events (api/events). The JSON is described in docs/board.md; fields are added, never
// renamed or removed.
//
// It only shows, until [Config.Token] or [Config.AuthorizeAction] says who may act: then a POST changes the sources that are a
// [Controller], and every action and every attempt is recorded and logged. Without [Config.Authorize] it answers callers on the loopback
// interface only, and only under a loopback name, and who bears the token, so that neither a neighbour nor a foreign web page (DNS rebinding) can read it.
//
// # Not a goal
//
// It keeps no history and is no metrics exporter. It asks no connection and no kernel: it shows what is known.
//
// # Concurrency
//
// All methods may be called by any number of goroutines. One goroutine collects for all watchers; it runs from
// the first watcher's coming to the last one's leaving, and not at all while nobody watches.
package board
