// Package herzws keeps WebSocket connections alive: a server with two engines, a client that follows it, and the older heartbeat by HTTP HEAD
// beside it, switched while everything runs.
//
// # Contract
//
//   - A connection has one mode for its life, fixed at the handshake: V2 is a WebSocket (RFC 6455) with ping and pong, Legacy is an HTTP HEAD that is answered
//     200 with X-Heartbeat-Interval. A flip of the [Switch] drains what has the wrong mode by close code 1012, spread over time.
//   - A connection is given up when nothing was heard for Heartbeat.Interval + Heartbeat.Grace since its newest whole frame, and not before: one goroutine
//     owns that time and moves it only later. A frame that is not whole by then ends the connection. While a callback has the connection, or the process
//     itself stood still, silence does not count.
//   - What Send accepted before the closing began is written before the Close frame, and what the peer sent before its Close frame is given to OnMessage.
//   - A consumer that is slow costs Config.QueueBytes at most, and a connection whose callback is busy is not read.
//   - Callbacks of one connection come one after the other, in the order of the frames: OnOpen, OnMessage, OnClose.
//
// docs/websocket.md has the rest: what each failure looks like, the limits, what an idle connection costs.
//
// # Engines
//
// On Linux, plain TCP connections share one epoll set and one goroutine ([Epoll]); all others have a goroutine each ([Portable]): TLS, wrapped
// connections, other systems. The API and the rules are the same.
//
// # Not a goal
//
// No extensions (permessage-deflate is not negotiated), no WebSocket over HTTP/2 (RFC 8441), no streaming of one message: it is given whole. The
// legacy mode carries heartbeats only, no messages.
//
// # Concurrency
//
// All methods may be called by any number of goroutines, from callbacks too, unless they say otherwise. A [Server] has, while connections are open,
// one goroutine for heartbeats, one for epoll, and up to Config.Workers while callbacks run. No connection has a timer of its own.
package herzws
