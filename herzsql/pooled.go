package herzsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// phys is one connection of pooled mode. Only the holder of its lease, or the pool while nobody holds it, touches it.
type phys struct {
	inner driver.Conn
	g     *guard.Conn
	used  bool // it was lent before, so its session must be reset
	stmts stmtCache

	server *Server // who answers; nil: it does not tell, or not any more
	who    string  // what it told last
	met    bool    // that was just now
}

// pooled is the connector of pooled mode: what database/sql takes for a new connection is a lease.
type pooled struct {
	inner driver.Connector
	facts Driver
	asker asker
	start time.Time // the zero of the times in standing

	standing standing
	cuts     *cuts // for connections that are wrapped; nil where the driver passes errors on

	pool  *pool.Pool[*phys]
	ready chan struct{} // closed when pool is set; a pool with MinIdle dials before New returns
	db    *sql.DB
}

func openPooled(inner driver.Connector, s *settings, facts Driver) (*sql.DB, error) {
	if s.maxIdle != 0 {
		return nil, errors.New("herz/herzsql: WithMaxIdle has no effect in pooled mode; set MinIdle, KeepWarm and MaxIdleTime of Limits")
	}
	wraps := s.cuts
	if hook, ok := inner.(Borrower); ok {
		inner, wraps = hook.WithHooks(Hooks{Lost: s.cuts.follow}), nil
	}
	a, err := newAsker(s, facts)
	if err != nil {
		return nil, err
	}
	c := &pooled{inner: inner, facts: facts, asker: a, start: time.Now(), cuts: wraps, ready: make(chan struct{})}
	seen := &promised{name: s.name}
	p, err := pool.New(pool.Config[*phys]{
		Name: s.name, Limits: s.limits, Observer: pool.Bind(s.observer, seen),
		Dial:  c.dial,
		Close: func(_ context.Context, p *phys) error { return p.inner.Close() },
		Ping:  c.ping,
		Guard: func(p *phys) *guard.Conn { return p.g },

		Identity: c.identity(),
	})
	if err != nil {
		return nil, fmt.Errorf("herz/herzsql: open pooled: %w", err)
	}
	c.pool = p
	close(c.ready)
	c.db = sql.OpenDB(c)
	// Nothing is ever kept by database/sql, see leaseConn.IsValid. Its own limit stays off: it would hand connections
	// out at random, and dial under a context that has no end.
	c.db.SetMaxIdleConns(-1)
	view := &View{pool: p, db: c.db, cuts: s.cuts}
	seen.view.Store(view)
	enroll(c.db, view)
	return c.db, nil
}

func (c *pooled) dial(ctx context.Context) (*phys, error) {
	// The pool cuts the ping of an idle connection short after 250 ms for a caller who waits. That and the dial share one
	// budget, so an eighth of it is not the dial's.
	<-c.ready
	limit := c.pool.Limits().HeartbeatTimeout * 7 / 8
	dctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	inner, g, who, err := dial(dctx, c.inner, c.asker)
	if err != nil {
		return nil, dialError(ctx, dctx, limit, err)
	}
	p := &phys{inner: inner, g: g, server: who, met: true}
	if who != nil {
		p.who = who.String()
	}
	return p, nil
}

// ping asks for a sign of life where the question after it, who the server is, does not give one.
func (c *pooled) ping(ctx context.Context, p *phys) error {
	if c.asker.query != "" {
		return c.asker.validate(ctx, p.inner)
	}
	if p.server != nil {
		return nil
	}
	if pinger, ok := p.inner.(driver.Pinger); ok {
		return pinger.Ping(ctx)
	}
	return nil
}

// Driver is the driver's own.
func (c *pooled) Driver() driver.Driver { return c.inner.Driver() }

// Close closes the pool; database/sql calls it from (*sql.DB).Close.
func (c *pooled) Close() error {
	withdraw(c.db)
	err := c.pool.Close()
	if cl, ok := c.inner.(io.Closer); ok {
		err = errors.Join(err, cl.Close())
	}
	return err
}

// resetsTried bounds how many connections are given up by their driver's reset before database/sql hears of it. It would
// try only three times.
const resetsTried = 8

// Connect borrows a connection of the pool and resets its session, as database/sql does for its own.
func (c *pooled) Connect(ctx context.Context) (driver.Conn, error) {
	for tries := 1; ; tries++ {
		lease, err := c.pool.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		p := lease.Value()
		l := &leaseConn{wrapped: wrapped{inner: p.inner, g: p.g, facts: c.facts, cuts: c.cuts}, of: c, phys: p, lease: lease}
		if err = p.reset(ctx); err == nil {
			return l, nil
		}
		l.condemn(err)
		_ = l.Close() // it is given up in any case
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if tries == resetsTried {
			return nil, &refusal{reason: err, safe: true}
		}
	}
}

// reset resets the session of a connection that was lent before. database/sql goes on after every error but ErrBadConn; after the
// end of the context the answer may still be under way.
func (p *phys) reset(ctx context.Context) error {
	r, ok := p.inner.(driver.SessionResetter)
	again := p.used
	p.used = true
	if !ok || !again {
		return nil
	}
	if err := r.ResetSession(ctx); errors.Is(err, driver.ErrBadConn) || err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// leaseConn is a lease as database/sql sees it: a connection that is made, used and closed.
type leaseConn struct {
	wrapped
	of    *pooled
	phys  *phys
	lease pool.Lease[*phys]
	stmts *wrappedStmt // prepared through this lease and not closed yet, linked by next
	over  bool
}

// ResetSession refuses a lease that has ended. database/sql never keeps one, so it does not come here otherwise.
func (l *leaseConn) ResetSession(context.Context) error {
	if l.over {
		return driver.ErrBadConn
	}
	return nil
}

// IsValid is false always, so that database/sql closes the lease, which returns it, whatever number of idle connections
// the application or its ORM has set. Keeping one would be hoarding.
func (l *leaseConn) IsValid() bool { return false }

// Close ends the lease. The connection goes back to the pool, or ends when it is not fit to.
func (l *leaseConn) Close() error {
	if l.over {
		return nil
	}
	l.over = true
	// database/sql does not close those of an *sql.Conn before the connection, and afterwards another user may have it.
	for s := l.stmts; s != nil; s = s.next {
		_ = s.rests()
	}
	if l.refused {
		l.of.judge(l)
	}
	if l.fit() {
		if l.g != nil {
			l.g.Begin() // what is left unanswered now, such as mysql's COM_STMT_CLOSE, waits for nothing
		}
		l.lease.Release()
		return nil
	}
	why := l.why
	if why == nil {
		why = errors.New("herz/herzsql: the driver reported the connection unfit")
	}
	l.lease.Discard(why)
	return nil
}

// Prepare prepares a statement without a context.
func (l *leaseConn) Prepare(query string) (driver.Stmt, error) {
	return l.PrepareContext(context.Background(), query)
}

// PrepareContext takes a prepared statement that rests on this connection, or prepares one. database/sql prepares anew on
// every lease, which would cost two more round trips each time.
func (l *leaseConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	inner := l.phys.stmts.take(query)
	if inner == nil {
		gone, end := l.gone(), l.limit(ctx)
		s, err := prepare(ctx, l.inner, query)
		if err = end.done(l.after(gone, none, err)); err != nil {
			return nil, err
		}
		inner = s
	}
	return l.wrapStmt(inner, query, l), nil
}

// keep notes a statement that was prepared through the lease; without a lease there is nothing to note.
func (l *leaseConn) keep(s *wrappedStmt) {
	if l != nil {
		s.next, l.stmts = l.stmts, s
	}
}

// forget takes a statement that is closed off the list.
func (l *leaseConn) forget(s *wrappedStmt) {
	for at := &l.stmts; *at != nil; at = &(*at).next {
		if *at == s {
			*at = s.next
			return
		}
	}
}
