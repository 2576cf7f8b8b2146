// Package proxy stands between clients and a server on loopback and makes the path or the server fail.
//
// # Contract
//
// A [Proxy] passes bytes on as they come. Each fault is switched on and off by one method. Faults of the path are made in the kernel:
// a socket filter that drops every packet, so that nothing is acknowledged (a proxy that only stops reading still acknowledges), and a
// close that tells nobody. Where the kernel refuses that, the method returns an error that is [ErrRefused], and nothing has changed.
//
// [Proxy.Told] knows when the news of the end of a connection left for its client.
//
// # Not a goal
//
// It knows no protocol, except that bytes from the server after bytes from the client are an answer.
//
// # Concurrency
//
// All methods may be called by any number of goroutines. Each connection has two goroutines, which end with it; Close waits for them.
package proxy
