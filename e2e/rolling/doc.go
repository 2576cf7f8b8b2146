// Package rolling restarts three Go servers, one after the other, behind HAProxy, nginx and Envoy, while clients send GETs and POSTs: with
// herzhttp.Server no request may fail, and the same servers without it show what that is worth.
//
// # Contract
//
// Each server is a process of its own, which gets SIGTERM and is started again on its port. The clients are plain net/http. A request that gets an error or
// another status than 200 has failed; none is repeated by the test. What a test needs is private to it, and dies with it.
//
// # Not a goal
//
// It measures no throughput.
//
// # Concurrency
//
// The tests run side by side.
package rolling
