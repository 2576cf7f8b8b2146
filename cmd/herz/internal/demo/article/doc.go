// Package article rebuilds the pool of the article, with the mistakes that it reports.
//
// # Contract
//
// A channel of connections; a heartbeat every 0.5 s that waits 3.2 s for its PONG; a connection whose heartbeat failed is flagged
// STALE and lent all the same; a reader that makes an empty answer of every failure to read, and gives the connection back with what
// may still come. Only a write that fails replaces a connection, because nobody can overlook that.
//
// So an answer that comes too late is read by the next request, and each one after it gets the answer of the one before.
//
// # Not a goal
//
// To be used. It is the patient.
//
// # Concurrency
//
// A [Pool] may be used by any number of goroutines. It has one goroutine a connection; Close waits for them.
package article
