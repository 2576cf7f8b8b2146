// Package signal says what Herz's pools tell the outside: the name, unit and meaning of each metric, and how its value is read from a pool.
//
// # Contract
//
// Names are those of the OpenTelemetry semantic conventions where there is one, and begin with herz. where there is none. herzotel exports
// them as they are and herzprom as the usual translation spells them, both from the one list that [Metrics] gives, of which docs/metrics.md is
// made too. So the two never differ. [HTTP] makes the samples of [HTTPMetrics] from what a herzhttp.Transport tells, for both.
//
// # Not a goal
//
// Exporting. Nothing here knows a library for metrics.
//
// # Concurrency
//
// A [Tally] may be used from any goroutine. Functions keep nothing.
package signal
