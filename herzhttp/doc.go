// Package herzhttp reuses HTTP connections and never trusts a dead one: a client's [Transport], and a [Server] that leaves without losing a request.
//
// # Contract of the client's side
//
// A [Transport] is used as the Transport of an ordinary http.Client, so that cookies, redirects and time-outs are net/http's own, and so is the
// protocol: HTTP/1.1, HTTP/2 and TLS are spoken by net/http (http.ClientConn). What is Herz's is which connection a request goes out on, and what happens
// when that connection fails:
//
//   - Each host has a [pool.Pool] of guarded connections. One that the peer has closed is not lent; one that rests for almost as long as the peer
//     was seen, or says, to keep connections is not lent either, because the peer may be closing it now.
//   - A request is repeated only when it is proved that it was not delivered (no byte of it left; HTTP/2 said REFUSED_STREAM, or GOAWAY with a lower
//     stream), or when repeating is harmless by definition: GET, HEAD, OPTIONS and TRACE (RFC 9110 §9.2.1), and requests with an Idempotency-Key. A request of
//     any other method that may have been executed, by this try or one before it, and got no whole answer is [guard.ErrAmbiguous]: the caller decides.
//   - HTTP/2 connections are shared, as far as the server lets them be. One on which a request ran out of time without a frame since gets no
//     further request until the server has answered a ping.
//   - Close of a response body that was not read to its end reads the rest, if it is little, so that the connection can be reused.
//
// # Contract of the server side
//
// A [Server] is an *http.Server that leaves in an order in which no balancer loses a request. Its idle time-out is above the balancer's. When it is told
// to end, its health check answers 503 first, every answer says Connection: close (HTTP/2: GOAWAY, but late), and it goes on accepting and serving until
// the balancer must have noticed. Only then the listener closes, requests in flight end, and pools drain; what they still had lent is logged. All of that
// fits into one budget, and every wait has a bound.
//
// [Alignment] computes those times from the balancer's settings, and says which settings do not fit. It does no I/O.
//
// # Not a goal
//
// Balancing by load, retries of answers such as 503, and circuit breaking: they need to know what a request means.
//
// HTTP/1.1 has no way to close a connection without a loss while somebody sends a request on it: who comes straight to the server, without a balancer that
// checks it, has to repeat such a request. Nothing here registers itself: signals are listened to by [Run] only.
//
// # Concurrency
//
// All methods may be called by any number of goroutines. A Transport starts none; its pools have one each. A Server has the goroutines of its
// *http.Server, and, while it drains, one for each pool.
package herzhttp
