// Package faultlab is where connections are broken on purpose: real servers, private to one run, and networks that lose, delay and swallow.
//
// # Contract
//
// Its rooms start what a test or a command needs, on a free port or in a namespace of its own, and take it away again, also after a failure.
// What a crashed run left behind is removed by the next one. Nothing of the host's own network is changed.
//
// # Not a goal
//
// It judges nothing, and knows nothing of Herz's library.
//
// # Concurrency
//
// Several runs on one machine, and several tests of one run, do not disturb each other.
package faultlab
