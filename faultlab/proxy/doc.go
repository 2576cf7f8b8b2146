// Package proxy is a TCP proxy in this process that loses answers: after the server has executed what it was asked, or in the middle.
//
// # Contract
//
// A [Proxy] listens on loopback and passes bytes on as they come, TLS too, which it does not open. A [Trap] is set for one request; it
// swallows the answer, cuts it behind a number of bytes, or holds it back, and tells when it has done so. What a client sent is always passed on,
// so the server has executed it. At most [Most] connections are open; more are closed at once, and counted.
//
// # Not a goal
//
// It knows no protocol: bytes from the server after the bytes that sprang a trap are the answer. Where a driver prepares a statement first, the
// text of the statement springs a trap for the answer to that; mark an argument instead.
//
// # Concurrency
//
// All methods may be called by any number of goroutines. Each connection has two goroutines, which end with it; Close waits for them.
package proxy
