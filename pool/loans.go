package pool

import (
	"context"
	"time"
)

// LoanObserver is an [Observer] that hears of loans by calls of its own, and not by the events CheckOutStarted, CheckedOut, CheckOutFailed and
// CheckedIn. That costs a third of those events, and hands on the caller's context, which traces and exemplars need. The methods are called as Observe is:
// on the goroutine where it happens, with no lock of the pool held. One that is also [Selective] and does not want loans is not called.
type LoanObserver interface {
	Observer
	// Lent tells that a loan has begun. What it returns is given to Returned of the same loan. Nil, for a loan of which nothing has to be remembered,
	// costs nothing.
	Lent(ctx context.Context, l Loan) (memo any)
	// Refused tells of a caller who got no connection, how long that took, and why.
	Refused(ctx context.Context, waited time.Duration, err error)
	// Returned tells that a loan has ended, before its connection can be lent again.
	Returned(l Loan, memo any)
}

// Loan is one loan, as a [LoanObserver] is told of it.
type Loan struct {
	Conn       uint64
	Generation uint64        // of the connection
	Waited     time.Duration // of Lent: until a connection was there. 0: one was at hand
	Held       time.Duration // of Returned: how long the loan lasted
	Reused     bool          // the connection had been lent before
	Err        error         // of Returned: why the connection was discarded; nil when it was returned
}

// Binder is an [Observer] that has an observer of its own for each pool, which [New] asks for. It is what a collector of metrics is that serves several
// pools: it learns the pool's numbers, and need not look up at each loan whose it is.
type Binder interface {
	Observer
	// Bind gives the observer for the pool that src shows, which takes everything about the pool in place of the Binder, from PoolCreated to
	// PoolClosed. It must not ask src before it has returned. Nil: there is nothing to tell of this pool.
	Bind(src Source) Observer
}

// Bind is o for one pool: what its Bind gives when it is a [Binder], else o itself.
func Bind(o Observer, src Source) Observer {
	switch o := o.(type) {
	case Binder:
		return o.Bind(src)
	case *tee:
		bound := make([]Observer, len(o.all))
		for i, each := range o.all {
			bound[i] = Bind(each, src)
		}
		return Tee(bound...)
	default:
		return o
	}
}

// Tee is an observer that tells several of everything, in order. Those that are nil are left out; it is nil when none is left.
func Tee(observers ...Observer) Observer {
	t := &tee{}
	for _, o := range observers {
		switch o := o.(type) {
		case nil:
		case *tee:
			t.all = append(t.all, o.all...)
		default:
			t.all = append(t.all, o)
		}
	}
	switch len(t.all) {
	case 0:
		return nil
	case 1:
		return t.all[0]
	}
	for _, o := range t.all {
		if wantsLoans(o) {
			t.loans = append(t.loans, o)
		}
		if l := loansOf(o); l != nil {
			t.calls = append(t.calls, l)
		}
	}
	return t
}

type tee struct {
	all   []Observer
	loans []Observer     // of all: those that take events of loans
	calls []LoanObserver // of all: those that are called
}

// Observe tells those that take such an event.
func (t *tee) Observe(e Event) {
	to := t.all
	if e.Kind.ofLoans() {
		to = t.loans
	}
	for _, o := range to {
		o.Observe(e)
	}
}

// WantsLoans reports whether one of them takes events of loans.
func (t *tee) WantsLoans() bool { return len(t.loans) > 0 }

// callers are several LoanObservers as one. What they remember is kept side by side.
type callers []LoanObserver

func (c callers) Observe(Event) {} // the tee has told them

func (c callers) Lent(ctx context.Context, l Loan) any {
	var memos []any
	for i, o := range c {
		if memo := o.Lent(ctx, l); memo != nil {
			if memos == nil {
				memos = make([]any, len(c))
			}
			memos[i] = memo
		}
	}
	if memos == nil {
		return nil
	}
	return memos
}

func (c callers) Refused(ctx context.Context, waited time.Duration, err error) {
	for _, o := range c {
		o.Refused(ctx, waited, err)
	}
}

func (c callers) Returned(l Loan, memo any) {
	memos, some := memo.([]any)
	for i, o := range c {
		var own any
		if some {
			own = memos[i]
		}
		o.Returned(l, own)
	}
}

// wantsLoans reports whether o is to be told of each loan by events.
func wantsLoans(o Observer) bool {
	if _, calls := o.(LoanObserver); calls || o == nil {
		return false
	}
	s, ok := o.(Selective)
	return !ok || s.WantsLoans()
}

// loansOf is o where it is to be told of each loan by calls, or nil.
func loansOf(o Observer) LoanObserver {
	switch o := o.(type) {
	case *tee:
		switch len(o.calls) {
		case 0:
			return nil
		case 1:
			return o.calls[0]
		}
		return callers(o.calls)
	case LoanObserver:
		if s, ok := o.(Selective); ok && !s.WantsLoans() {
			return nil
		}
		return o
	default:
		return nil
	}
}
