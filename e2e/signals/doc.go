// Package signals runs a real Prometheus with the alert rules of deploy/ against pools with faults.
//
// # Contract
//
// Its tests fail when a rule does not fire for the fault that it is for, when one fires for a pool that is well, and when a Pushgateway does not get what
// a short job pushes.
//
// # Not a goal
//
// The thresholds of the rules, which promtool's unit tests look at.
//
// # Concurrency
//
// None: each test starts its own servers, and ends them.
package signals
