// Package herzprom shows Herz's pools to Prometheus.
//
// # Contract
//
// A [Collector] is a prometheus.Collector and a [pool.Binder]: given to pools as their observer and registered once, it
// exports the true numbers of each under the names of the OpenTelemetry semantic conventions, as the usual translation spells them, and
// under names of its own that begin with herz_. docs/metrics.md lists them all.
//
//	metrics := herzprom.New(herzprom.Config{})
//	prometheus.MustRegister(metrics)
//	db, err := herzsql.OpenPooled("mysql", dsn, herzsql.WithName("orders"), herzsql.WithObserver(metrics))
//
// An [HTTP] is the same for a herzhttp.Transport, as its Watch and its Observer: requests, dials by phase, and connections by host, under http_client_ and
// herz_http_. Its pools are not called pools of a database: of them only metrics with names of our own are exported, also by a Collector, which
// has no more than these of a transport.
//
// Nothing is counted twice: what the pool counts itself is read when somebody scrapes, and only times are measured as they happen.
// Labels are the name of the pool and short lists of words that are known beforehand, never a connection, a peer or a query. Pools of one name are
// one series: their numbers are added.
//
// # Not a goal
//
// Metrics of queries: use the client library's own, or herzotel beside otelsql.
//
// # Concurrency
//
// A Collector may be used from any goroutine and starts none. A loan and its return cost it two looks at the clock, a few
// additions to atomic numbers, and no allocation.
package herzprom
