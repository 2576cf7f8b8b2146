// Package herzhttp gives an http.RoundTripper that reuses connections and never trusts a dead one, and the server's side of the same promise.
//
// # Contract
//
// A [Transport] is used as the Transport of an ordinary http.Client, so that cookies, redirects and time-outs are net/http's own, and so is the
// protocol: HTTP/1.1, HTTP/2 and TLS are spoken by net/http (http.ClientConn). What is Herz's is which connection a request goes out on, and what happens
// when that connection fails:
//
//   - Each host has a [pool.Pool] of guarded connections. One that the peer has closed is not lent; one that rests for almost as long as the peer
//     was seen, or says, to keep connections is not lent either, because the peer may be closing it now.
//   - A request is repeated only when it is proved that it was not delivered (no byte of it left; HTTP/2 said REFUSED_STREAM, or GOAWAY with a lower
//     stream), or when repeating is harmless by definition: GET, HEAD, OPTIONS and TRACE (RFC 9110 §9.2.1), and requests with an Idempotency-Key. Every other
//     failure in which bytes left is [guard.ErrAmbiguous]: the caller decides.
//   - HTTP/2 connections are shared, as far as the server lets them be. One on which a request ran out of time without a frame since gets no
//     further request until the server has answered a ping.
//   - Close of a response body that was not read to its end reads the rest, if it is little, so that the connection can be reused.
//
// # Not a goal
//
// Balancing by load, retries of answers such as 503, and circuit breaking: they need to know what a request means.
//
// # Concurrency
//
// A Transport may be used from any goroutine. It starts none; its pools have one each.
package herzhttp
