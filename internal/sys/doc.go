// Package sys is the only place in Herz with system calls: asking a socket what the kernel knows about it, and an epoll set
// that tells of dead peers.
//
// Contract: every function takes a descriptor that its caller keeps open for the length of the call (by
// syscall.RawConn.Control), never blocks, and never takes an error or a byte away from a later read unless its name says so.
// Where the system has no such call, functions report that they know nothing ([Supported] is false).
//
// Not a goal: portability of behaviour; the packages above say what is missing where.
//
// Concurrency: all functions and methods may be called by any number of goroutines.
package sys
