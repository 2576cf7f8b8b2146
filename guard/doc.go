// Package guard wraps a stream connection so that it cannot fail silently.
//
// # Contract
//
// A guarded connection knows that its peer is gone without being asked ([Conn.Dead]), asks the kernel when that is due
// ([Conn.Alive]), refuses to send into a dead connection with no byte written (*[DeadError]), bounds every black hole by
// [Options.HeartbeatTimeout], knows how many bytes of a request left ([Conn.Delivery]), and keeps one record of why it ended
// ([Conn.Death]). What the peer said before it left is delivered first: the news of a FIN never fails a Read.
//
// An exchange is what happens between two calls of [Conn.Begin]: pools and adapters call it at each loan. Where nobody calls
// it, the whole life of the connection is one exchange, unless [Options.ImplicitBegin] says otherwise.
//
// # Where it sees what
//
// On Linux, on a stream socket: everything above. A watcher with an epoll set of its own (EPOLLRDHUP, edge-triggered) is
// told of a FIN or RST within microseconds and of nothing else; poll(2) is asked before the first write after
// [Options.ProbeAfter] of silence; TCP_INFO is read for the cause of a death, and by a sweep that looks at exchanges that
// have waited for more than 500 ms. TCP_USER_TIMEOUT is not used, because it counts zero-window probes as silence and so cuts
// peers that are only slow.
//
// On other systems, and on connections that are no sockets ([net.Pipe]), there is no watcher, no poll and no sweep: a
// death is learned from the next read or write, a black hole from the deadlines of the caller. The types, the errors and the
// bookkeeping are the same. [Conn.Capabilities] tells what a connection has.
//
// Under TLS the guard sits below the TLS layer ([From] finds it there). Bytes that wait unread say nothing then (session
// tickets), so that only RDHUP, HUP and ERR count.
//
// # What a failure returns
//
// A write that is refused before a byte left returns 0 and a *[DeadError], a net.Error that is no time-out.
//
// The end of the stream, a reset or a time-out of the kernel while bytes are unanswered is an *[AmbiguousError], or what
// [Options.ReadError] makes of it; so is the refusal of a write in the middle of a request. After part of an answer it is passed
// on unchanged, unless [Options.EOFNeverClean] is set.
//
// A deadline is passed on unchanged; under [Options.AmbiguousDeadlines] it is a *net.OpError that is also [ErrAmbiguous]. It is
// no death.
//
// After [Conn.Abort], reads and writes return an *AmbiguousError when bytes of the exchange had left, else a *DeadError.
//
// Our own Close, the end of the stream where nothing was asked since Begin, and everything under [Options.Multiplexed] are
// passed on unchanged.
//
// # Not a goal
//
// The guard knows no protocol, does not reconnect and repeats nothing. It is meant for the end that asks: on the end that
// answers, a peer that has closed its sending side may still wait for the answer, and the guard would refuse to write it.
// Datagram sockets are passed through unguarded. The message methods of *net.UnixConn are not part of the surface.
//
// # Concurrency
//
// All methods may be called by any number of goroutines. The package has at most two goroutines of its own, whatever the
// number of connections: the watcher, from the first guarded socket to the last, and the sweep, while an exchange waits.
// Neither is ever started from inside a testing/synctest bubble.
package guard
