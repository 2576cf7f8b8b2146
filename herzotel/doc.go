// Package herzotel tells OpenTelemetry about Herz's pools: metrics, and spans for the moments at which a request borrows and returns a connection.
//
// # Contract
//
// An [Observer] is given to pools as their observer:
//
//	signals, err := herzotel.New()
//	db, err := herzsql.OpenPooled("mysql", dsn, herzsql.WithName("orders"), herzsql.WithObserver(signals))
//
// Metrics have the names, units and attributes of the semantic conventions, db.client.connection.*, and names of their own that begin with
// herz.; docs/metrics.md lists them. Spans stand beside those of otelsql, otelhttp and otelgrpc and repeat nothing of theirs: they show the wait
// for a connection, and whether it was reused. There are two for each loan, both short, the second linked to the first, and none is open in between.
// They are made only where the caller's context has a span that is recorded.
//
// An [HTTP] is the same for a herzhttp.Transport, as its Watch and its Observer: metrics under http.client. and herz.http., and of its pools those with names
// of our own. It makes no spans.
//
// # Not a goal
//
// Spans and durations of queries and requests: otelsql, otelhttp and otelgrpc have them. A loan that nobody asks for in a context, and guarded
// mode, in which database/sql tells of no loan, have no spans.
//
// # Concurrency
//
// An Observer may be used from any goroutine and starts none. A loan whose trace is not recorded costs two measurements and no allocation.
package herzotel
