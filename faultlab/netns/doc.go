// Package netns makes network namespaces in which packets can be dropped, so that a test can make a black hole: a path that
// swallows packets in both directions and says nothing.
//
// # Contract
//
// A namespace is joined to the host by a pair of virtual interfaces, with addresses out of 198.18.0.0/15 (RFC 2544, for
// tests). A server is started inside ([NS.Do]); its clients stay on the host and dial [NS.IP]. All packet filter rules live
// inside the namespace and go with it, so that nothing of the host's own network changes. It needs root, ip, ss and nft, and fails the test that
// has not got them.
//
// # Not a goal
//
// No delay and no partial loss.
//
// # Concurrency
//
// Namespaces are independent of each other. The methods of one may be called by any number of goroutines.
package netns
