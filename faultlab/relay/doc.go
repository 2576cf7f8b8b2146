// Package relay carries the packets of a [netns.Tunnel] through this process and makes the path bad: delay, jitter, loss, freezes,
// outages. It stands in for the kernel's netem, which many kernels have not got.
//
// # Contract
//
// A new relay passes everything on at once. [Relay.Set] changes the weather while packets are under way; packets that are already
// waiting keep their time. Both directions suffer alike and independently of each other. Random choices come from the seed, one after the
// other in the order in which packets arrive. Packets of one flow keep their order, unless the weather says otherwise. No more than
// [MostWaiting] packets wait in one direction; those that come on top are dropped and counted. [Relay.Close] returns when both
// directions have ended, with the packets that wait lost.
//
// # Not a goal
//
// It changes and repeats no packet, and limits no rate. It carries IPv4 only; other packets are dropped.
//
// # Concurrency
//
// All methods may be called by any number of goroutines. A relay has four goroutines, however many flows there are.
package relay
