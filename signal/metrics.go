package signal

import "strings"

// Kind is how the values of a metric add up.
type Kind uint8

// The kinds.
const (
	UpDown    Kind = iota + 1 // a number of things now; pools of one name add up
	Highest                   // a number now of which, of pools of one name, the greatest counts
	Lowest                    // a number now of which, of pools of one name, the least counts
	Counter                   // it only rises
	Histogram                 // times, measured as they happen
)

// Metric describes one metric.
type Metric struct {
	Name       string // as OpenTelemetry writes it
	Unit       string // by UCUM; {things} is a count of things
	Kind       Kind
	Help       string
	Attributes []string // their keys, beside PoolName, which all have
}

// Keys of attributes.
const (
	PoolName = "db.client.connection.pool.name"
	State    = "db.client.connection.state"
	Reason   = "reason"
	Source   = "source"
	Method   = "method"
	Result   = "result"
)

// Names of metrics.
const (
	Count       = "db.client.connection.count"
	Max         = "db.client.connection.max"
	IdleMin     = "db.client.connection.idle.min"
	IdleMax     = "db.client.connection.idle.max"
	Pending     = "db.client.connection.pending_requests"
	Timeouts    = "db.client.connection.timeouts"
	CreateTime  = "db.client.connection.create_time"
	WaitTime    = "db.client.connection.wait_time"
	UseTime     = "db.client.connection.use_time"
	Closed      = "herz.connection.closed"
	IdleAtDeath = "herz.connection.idle_at_death"
	Checks      = "herz.connection.checks"
	HeartbeatRT = "herz.heartbeat.rtt"
	Acquires    = "herz.pool.acquires"
	Oldest      = "herz.pool.oldest_waiter"
	Dialing     = "herz.pool.dialing"
	Dials       = "herz.pool.dials"
	Generation  = "herz.pool.generation"
	Refused     = "herz.pool.refused"
	Misuses     = "herz.pool.misuses"
	LongHeld    = "herz.pool.long_held"
	DeadLent    = "herz.pool.dead_lent"
	KernelDrift = "herz.pool.kernel_drift"
	MaxIdleTime = "herz.pool.max_idle_time"
	IdleCeiling = "herz.pool.idle_ceiling"
	Unasked     = "herz.rows.unasked_error"
)

// Metrics lists every metric, in the order of docs/metrics.md.
func Metrics() []Metric {
	return []Metric{
		{Count, "{connection}", UpDown, "Connections: idle, used (lent), checking (pinged or reset), stale (unfit, to be closed), closing.", []string{State}},
		{Max, "{connection}", UpDown, "Most connections allowed to be open.", nil},
		{IdleMin, "{connection}", UpDown, "Idle connections below which new ones are dialled.", nil},
		{IdleMax, "{connection}", UpDown, "Idle connections that a pool which has fallen quiet keeps: KeepWarm, or without it MaxOpen.", nil},
		{Pending, "{request}", UpDown, "Callers who wait for a connection now.", nil},
		{Timeouts, "{timeout}", Counter, "Callers who waited for a connection until their time ran out.", nil},
		{CreateTime, "s", Histogram, "Time to make a connection, of dials that succeeded.", nil},
		{WaitTime, "s", Histogram, "Time to obtain a connection, of callers who got one.", nil},
		{UseTime, "s", Histogram, "Time between borrowing a connection and returning it.", nil},
		{Closed, "{connection}", Counter, "Connections that ended, by why.", []string{Reason}},
		{IdleAtDeath, "s", Histogram, "How long nothing had been sent or received on connections that ended without our deciding it.", nil},
		{Checks, "{check}", Counter, "Heartbeats and pings, by result: ok or failed.", []string{Method, Result}},
		{HeartbeatRT, "s", Histogram, "Round trip of heartbeats and pings that were answered.", nil},
		{Acquires, "{connection}", Counter, "Connections lent, by source: reused, or dialed (lent for the first time).", []string{Source}},
		{Oldest, "s", Highest, "How long the caller who waits longest has waited until now. 0: nobody waits.", nil},
		{Dialing, "{connection}", UpDown, "Dials under way.", nil},
		{Dials, "{connection}", Counter, "Dials that ended, by result: ok or failed.", []string{Result}},
		{Generation, "{generation}", Highest, "Generation of the pool. It rises when all its connections are made stale at once.", nil},
		{Refused, "{request}", Counter, "Callers turned away because too many waited already.", nil},
		{Misuses, "{lease}", Counter, "Leases that were used or returned after their end.", nil},
		{LongHeld, "{lease}", Counter, "Leases that were held for longer than Limits.LeakAfter. Lost ones are closed connections with the reason leaked.", nil},
		{DeadLent, "{connection}", Counter, "Connections that had ended when they were lent. Herz's promise is that it stays 0.", nil},
		{KernelDrift, "{connection}", UpDown, "Connections that the pool takes for open and the kernel does not. It stays 0 but for moments.", nil},
		{MaxIdleTime, "s", Highest, "Idle age at which the pool closes a connection. Absent: it closes none for that.", nil},
		{IdleCeiling, "s", Lowest, "Learned idle age at which something else closes connections; of several peers the shortest. Absent: none was learned.", nil},
		{Unasked, "{result}", Counter, "Results that were cut short and whose error nobody looked at.", nil},
	}
}

// Seconds are the bounds of the histograms of waits, uses, dials and heartbeats. The conventions give none, and the SDKs' own are for milliseconds.
func Seconds() []float64 {
	return []float64{5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
}

// IdleSeconds are the bounds of IdleAtDeath. They are dense where hops between close connections: 60, 240, 300, 350 and 600 seconds, half an hour,
// an hour and eight hours.
func IdleSeconds() []float64 {
	return []float64{1, 2, 5, 10, 30, 59, 61, 120, 235, 245, 290, 310, 345, 355, 590, 610, 1790, 1810, 3590, 3610, 28790, 28810}
}

// Prometheus is the name by which Prometheus knows the metric, by the usual translation: points become underscores, the unit and, of a counter, total are
// added.
func (m Metric) Prometheus() string {
	name := PrometheusLabel(m.Name)
	if m.Unit == "s" {
		name += "_seconds"
	}
	if m.Kind == Counter {
		name += "_total"
	}
	return name
}

// PrometheusLabel is the name of a label for the key of an attribute.
func PrometheusLabel(key string) string { return strings.ReplaceAll(key, ".", "_") }
