// Package faultlab is where connections are broken on purpose: real servers, private to one run, and networks that lose, delay and swallow.
// It is the roof of its rooms and has no code of its own.
//
//   - server: MariaDB, PostgreSQL, Redis, HAProxy, nginx, Envoy and PgBouncer; kill, restart, freeze (SIGSTOP), demote, full, idle time-outs, TLS
//   - netns: network namespaces; drop everything, a port, or single flows; a router whose address leads to other servers
//   - relay: a path through this process with delay, jitter, loss, freezes and outages
//   - proxy: a TCP proxy that loses answers, or cuts them behind a byte
//   - owner: names by which a run knows what a crashed one left
//
// # Contract
//
// Each room opens what a test or a command needs, on loopback or in a namespace that it made itself, and closes it again. What a crashed run left
// behind is removed by the next one. Nothing of the host's own network is changed. Everything is bounded in number and in time.
// Functions return errors; in the files testing.go stand thin forms of them for tests.
//
// # Not a goal
//
// It judges nothing, and knows nothing of Herz's library.
//
// # Concurrency
//
// Several runs on one machine, and several tests of one run, do not disturb each other.
package faultlab
