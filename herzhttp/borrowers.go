package herzhttp

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"herz.example/herz/pool"
)

// Borrowers is a [pool.Observer] that remembers to which trace each loan belongs that is out, so that whoever looks at a pool that cannot drain learns which
// request holds it up. One may serve any number of pools. The zero value is ready.
//
// It costs each loan of a traced caller an entry in a map, and its pool the short way of loans that nobody observes. In herzsql it works in pooled mode;
// in guarded mode database/sql does the lending, and tells nobody.
type Borrowers struct {
	// TraceID gives the trace of a caller's context; empty: there is none, and the loan costs nothing. Nil: [TraceID]. With OpenTelemetry it is
	// trace.SpanContextFromContext(ctx).TraceID().String() where that is valid. It may not change once the Borrowers is used.
	TraceID func(ctx context.Context) string

	loans sync.Map // *borrowed to nil
}

// borrowed is a loan that is out.
type borrowed struct {
	src  pool.Source
	conn uint64
	id   string
}

// Bind gives the observer of one pool.
func (b *Borrowers) Bind(src pool.Source) pool.Observer { return &borrowersOf{b, src} }

// Observe does nothing: events come to what Bind gave.
func (b *Borrowers) Observe(pool.Event) {}

// Of gives the traces of those who hold a connection, sorted; several only where it is shared. Nil when none is known.
func (b *Borrowers) Of(poolName string, id uint64) []string {
	if b == nil {
		return nil
	}
	var ids []string
	b.loans.Range(func(key, _ any) bool {
		if l, ok := key.(*borrowed); ok && l.conn == id && l.src.Name() == poolName {
			ids = append(ids, l.id)
		}
		return true
	})
	slices.Sort(ids)
	return ids
}

// borrowersOf is Borrowers for one pool.
type borrowersOf struct {
	all *Borrowers
	src pool.Source
}

// Lent remembers.
func (o *borrowersOf) Lent(ctx context.Context, l pool.Loan) any {
	ask := o.all.TraceID
	if ask == nil {
		ask = TraceID
	}
	id := ask(ctx)
	if id == "" {
		return nil
	}
	loan := &borrowed{o.src, l.Conn, id}
	o.all.loans.Store(loan, nil)
	return loan
}

// Returned forgets.
func (o *borrowersOf) Returned(_ pool.Loan, memo any) {
	if loan, ok := memo.(*borrowed); ok {
		o.all.loans.Delete(loan)
	}
}

// Refused is of no interest.
func (o *borrowersOf) Refused(context.Context, time.Duration, error) {}

// Observe forgets a lost loan: nobody returns it. As what its connection is counted says less: the peer may have ended it before.
func (o *borrowersOf) Observe(e pool.Event) {
	if e.Kind != pool.Leaked || e.Held {
		return
	}
	o.all.loans.Range(func(key, _ any) bool {
		if l, ok := key.(*borrowed); ok && l.src == o.src && l.conn == e.Conn {
			o.all.loans.Delete(key)
		}
		return true
	})
}

type traceKey struct{}

// WithTraceID gives a context of the trace with this id. A [Server] with Borrowers does it for requests with a header traceparent.
func WithTraceID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, traceKey{}, id)
}

// TraceID is what [WithTraceID] set; empty without.
func TraceID(ctx context.Context) string {
	id, _ := ctx.Value(traceKey{}).(string)
	return id
}

// traceOf reads the trace-id of a traceparent header (W3C Trace Context, 3.2): version, trace-id, parent-id, flags. Empty: it is none.
func traceOf(header string) string {
	if len(header) < 55 || header[2] != '-' || header[35] != '-' || header[52] != '-' || header[:2] == "ff" {
		return ""
	}
	id := header[3:35]
	if strings.Trim(id, "0123456789abcdef") != "" || strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}
