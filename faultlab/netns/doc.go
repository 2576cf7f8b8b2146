// Package netns makes network namespaces in which packets are dropped and addresses lead elsewhere: black holes, which swallow
// packets in both directions and say nothing, and fail-overs.
//
// # Contract
//
// A namespace is joined to the host by a pair of virtual interfaces, with addresses out of 198.18.0.0/15 (RFC 2544, for
// tests). A server is started inside ([NS.Do]); its clients stay on the host and dial [NS.IP]. A [Router] stands between the
// host and several such namespaces; its own address leads to any of their servers, to several in turn, and can be moved. A
// [Tunnel] is a second way into a namespace, whose packets pass through this process.
//
// All packet filter rules live inside the namespaces and go with them. On the host there are only the interfaces, with their
// addresses and routes, and they go too. What a crashed process left is removed by the next [Open], or by [Sweep]. At most
// [Most] namespaces and as many tunnels are open in one process, and every command has a bound of 10 s. It needs root, ip, ss and nft, and says so
// where it has not got them.
//
// # Not a goal
//
// No delay and no partial loss: package relay does that in a [Tunnel]. No IPv6.
//
// # Concurrency
//
// Namespaces and routers are independent of each other. The methods of one may be called by any number of goroutines; Close
// is the last.
package netns
