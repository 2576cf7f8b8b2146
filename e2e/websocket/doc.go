// Package websocket tests herzws with clients of other makers: coder/websocket and gorilla/websocket on guarded sockets, and curl in the legacy mode.
//
// # Contract
//
// It has tests only. curl has to be installed (tools/setup.sh).
//
// # Not a goal
//
// The rules of RFC 6455 are tested in herzws itself.
//
// # Concurrency
//
// Each test has a server of its own.
package websocket
