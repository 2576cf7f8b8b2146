package herzsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// guarded is the connector of guarded mode: database/sql's own pool over guarded sockets.
type guarded struct {
	inner driver.Connector
	facts Driver
	book  *book
	cuts  *cuts // for connections that are wrapped; nil where the driver passes errors on
}

// openGuarded makes the database over the driver's connector. A Borrower keeps its own connections; others are wrapped.
func openGuarded(inner driver.Connector, s *settings, facts Driver) (*sql.DB, error) {
	limits, err := guardedLimits(s.limits)
	if err != nil {
		return nil, err
	}
	c := &guarded{inner: inner, facts: facts}
	hook, bare := inner.(Borrower)
	c.book = newBook(s, limits, bare)
	if c.book.asker, err = newAsker(s, facts); err != nil {
		return nil, err
	}
	if bare {
		c.inner = hook.WithHooks(Hooks{Check: c.book.checkSocket, Refused: c.book.refusedOn, Lost: c.book.cuts.follow})
	} else {
		c.cuts = c.book.cuts
	}
	db := sql.OpenDB(c)
	c.book.db = db
	c.book.maxIdle = s.maxIdle
	c.book.apply(limits)
	view := &View{book: c.book, cuts: s.cuts}
	c.book.observer = pool.Bind(s.observer, view)
	enroll(db, view)
	c.book.tell(pool.Event{Kind: pool.PoolCreated})
	return db, nil
}

// apply gives database/sql its part of the limits.
func (b *book) apply(l pool.Limits) {
	b.limits.Store(&l)
	b.db.SetMaxOpenConns(l.MaxOpen)
	switch {
	case b.maxIdle == 0:
		b.db.SetMaxIdleConns(l.MaxOpen)
	default:
		b.db.SetMaxIdleConns(b.maxIdle)
	}
	// Herz looks at the lifetime at each loan and return. database/sql would read the clock once more at each loan, and is needed only for what rests for
	// longer than it lives.
	life := max(l.MaxLifetime, 0)
	if l.MaxIdleTime > 0 && l.MaxIdleTime <= life {
		life = 0
	}
	b.db.SetConnMaxLifetime(life)
	b.db.SetConnMaxIdleTime(max(l.MaxIdleTime, 0))
}

// Driver is the driver's own.
func (c *guarded) Driver() driver.Driver { return c.inner.Driver() }

// Close forgets the database; database/sql calls it from (*sql.DB).Close.
func (c *guarded) Close() error {
	b := c.book
	b.gone.Store(true)
	withdraw(b.db)
	b.tell(pool.Event{Kind: pool.PoolClosed})
	if cl, ok := c.inner.(io.Closer); ok {
		return cl.Close()
	}
	return nil
}

// dialsTried bounds how many connections are made unfit while they are dialled before database/sql hears of it. It would try only
// three times.
const dialsTried = 8

// Connect dials, unless the database drains. A connection that was made unfit while it was dialled is not used.
func (c *guarded) Connect(ctx context.Context) (driver.Conn, error) {
	b := c.book
	if b.roundOf(ctx) != nil {
		return nil, errNoDial
	}
	for tries := 1; ; tries++ {
		gen, err := b.era()
		if err != nil {
			return nil, err
		}
		dc, e, err := c.connect(ctx, gen)
		if err != nil {
			return nil, err
		}
		cause := conn.Cause(e.cause.Load()) //nolint:gosec // stored from a Cause
		if cause == conn.None {
			return dc, nil
		}
		err = b.retire(e, cause, b.now())
		_ = dc.Close() // it is given up in any case
		if tries == dialsTried {
			return nil, err
		}
	}
}

// connect dials within the caller's time and never longer than the budget.
func (c *guarded) connect(ctx context.Context, gen uint64) (_ driver.Conn, _ *entry, err error) {
	b := c.book
	if err = b.echo(); err != nil {
		return nil, nil, err
	}
	l := b.limits.Load()
	begun, budget := b.now(), b.dialBudget(l)
	dctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	mine, err := b.pause.turn(dctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { b.pause.done(ctx, mine, err) }() // also when the driver panics, or nobody would have the turn again
	b.dials.Add(1)
	b.tell(pool.Event{Kind: pool.ConnectionCreated})
	inner, g, who, err := dial(dctx, c.inner, b.asker)
	if err != nil {
		if late := dialError(ctx, dctx, budget, err); late != err { //nolint:errorlint // whether it was replaced
			err = &pool.DialError{Pool: b.name, Err: late}
			b.late.Store(&lateDial{ended: b.now(), err: err})
		}
		b.dialErrs.Add(1)
		b.setDialErr(err.Error())
		b.tell(pool.Event{Kind: pool.ConnectionClosed, Cause: conn.Error, Err: err})
		return nil, nil, err
	}
	b.dialled.Add(1)
	b.setDialErr("")
	e := b.add(g, l, gen)
	if who != nil {
		e.server.Store(who)
		e.confirmed.Store(b.now())
		b.standing.arrived(e.peer, *who, b.now())
	}
	b.tell(pool.Event{Kind: pool.ConnectionReady, Conn: e.id, Duration: time.Duration(b.now() - begun)})
	if b.bare {
		return inner, e, nil
	}
	gc := &guardedConn{fresh: true, wrapped: wrapped{inner: inner, g: e.g, facts: c.facts, cuts: c.cuts}, b: b, e: e, probe: Probe{Conn: inner}}
	if p, ok := inner.(driver.Pinger); ok {
		gc.probe.Ping = p.Ping
	}
	return gc, e, nil
}

// lateDial is a dial that used up its budget.
type lateDial struct {
	ended int64
	err   error
}

// echoTime is how long the outcome of such a dial is also that of the next ones.
const echoTime = 50 * time.Millisecond

// echo gives those who wait for a connection the error of a dial that has just used up its budget. database/sql dials for
// them one after the other, in one goroutine: with a server that is silent each would wait a whole budget longer than the one
// before. Callers who dial for themselves are not concerned.
func (b *book) echo() error {
	if d := b.late.Load(); d != nil && b.now()-d.ended < int64(echoTime) && forWaiters() {
		return d.err
	}
	return nil
}

// forWaiters reports whether it was called from the goroutine in which database/sql dials for those who wait. Nothing but the
// stack tells: the context of that goroutine is one like others.
func forWaiters() (yes bool) {
	eachCaller(func(function string) bool {
		yes = function == "database/sql.(*DB).connectionOpener"
		return !yes
	})
	return yes
}

// dial connects, finds the guarded socket under the connection (nil when there is none, or more than one), and asks who answers.
func dial(ctx context.Context, c driver.Connector, a asker) (driver.Conn, *guard.Conn, *Server, error) {
	cctx, capture := guard.WithCapture(ctx)
	// A driver that does not look at its context during the handshake is ended by the end of its socket.
	stop := context.AfterFunc(ctx, func() {
		if g := capture.Conn(); g != nil {
			g.Abort(conn.Timeout)
		}
	})
	defer stop()
	inner, err := c.Connect(cctx)
	if err != nil {
		return nil, nil, nil, err
	}
	g := capture.Conn()
	who, err := a.introduce(ctx, inner, g)
	if err != nil {
		_ = inner.Close() // why it is of no use is what the caller should know
		return nil, nil, nil, err
	}
	return inner, g, who, nil
}

// clockSkew is how much earlier than its context package net may give a dial up.
const clockSkew = 5 * time.Millisecond

// dialError says so when it was Herz's budget that ended the dial, or the caller's time; every other error is the driver's, as it is.
func dialError(caller, dial context.Context, budget time.Duration, err error) error {
	deadline, _ := dial.Deadline()
	// Package net gives the socket the deadline of the context, and when the socket is the first to notice, its error is not the context's.
	if end, ok := caller.Deadline(); ok && time.Until(end) <= clockSkew && errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	if caller.Err() != nil || dial.Err() == nil && time.Until(deadline) > clockSkew {
		return err
	}
	return fmt.Errorf("no connection within %v, the time that Limits.HeartbeatTimeout leaves: %w", budget, err)
}

func (b *book) setDialErr(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastDialErr = text
}

// checkSocket is check for a Borrower, which knows its socket and not its entry.
func (b *book) checkSocket(ctx context.Context, nc net.Conn, p Probe) error {
	g, ok := guard.From(nc)
	if !ok {
		return nil
	}
	e, mine := g.Owner().(*entry)
	if !mine || g.Dead() { // it has left the book, or is about to
		if err := g.Alive(); err != nil {
			if r := b.roundOf(ctx); r != nil {
				r.closed++
			}
			return &refusal{reason: err, safe: true}
		}
		return nil
	}
	// The return of a bare connection is not seen; its newest byte is, and was an answer where nothing waits for one.
	if at, waiting := g.LastByte(); !waiting && !g.Dead() {
		e.heard.Store(max(e.heard.Load(), b.at(at)))
	}
	if r := b.roundOf(ctx); r != nil {
		return r.meet(e, p)
	}
	return b.check(ctx, e, p)
}

// refusedOn notes that a server refused a write, for a Borrower.
func (b *book) refusedOn(nc net.Conn) {
	if g, ok := guard.From(nc); ok {
		b.standing.refused(peerOf(g), b.now())
	}
}

// guardedConn is a connection of guarded mode as database/sql sees it.
type guardedConn struct {
	wrapped
	b     *book
	e     *entry
	probe Probe // made once: it would cost an allocation each time

	looked bool // a round has it
	fresh  bool // it was dialled, and nobody has used it yet
}

// first is the check of a connection whose first user comes late. database/sql resets no session that was never used; but it may keep for hours what
// it dialled for somebody who had left.
func (c *guardedConn) first(ctx context.Context) error {
	if !c.fresh {
		return nil
	}
	c.fresh = false
	now := c.b.now()
	if after := c.b.limits.Load().PingAfter; after <= 0 || now-c.e.born <= int64(after) {
		return nil
	}
	err := c.b.vouch(ctx, c.e, c.probe, now)
	c.e.since.Store(now)
	if errors.Is(err, driver.ErrBadConn) {
		c.condemn(err)
		c.e.cell.Move(c.e.cell.Load(), conn.Stale, 0)
	}
	return err
}

// ExecContext executes a statement.
func (c *guardedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.first(ctx); err != nil {
		return nil, err
	}
	return c.wrapped.ExecContext(ctx, query, args)
}

// QueryContext asks for rows.
func (c *guardedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.first(ctx); err != nil {
		return nil, err
	}
	return c.wrapped.QueryContext(ctx, query, args)
}

// PrepareContext prepares a statement.
func (c *guardedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.first(ctx); err != nil {
		return nil, err
	}
	return c.wrapped.PrepareContext(ctx, query)
}

// BeginTx starts a transaction.
func (c *guardedConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := c.first(ctx); err != nil {
		return nil, err
	}
	return c.wrapped.BeginTx(ctx, o)
}

// ResetSession is the moment of borrowing: the check, and then the driver's own.
func (c *guardedConn) ResetSession(ctx context.Context) error {
	c.fresh = false
	if r := c.b.roundOf(ctx); r != nil {
		return c.meet(r, c.probe)
	}
	w := c.e.cell.Load()
	if w.State() == conn.Idle {
		w, _ = c.e.cell.Move(w, conn.Checking, 0)
	}
	err := c.b.check(ctx, c.e, c.probe)
	if r, ok := c.inner.(driver.SessionResetter); ok && err == nil {
		err = c.after(c.gone(), none, r.ResetSession(ctx))
	}
	to, leases := conn.InUse, 1
	if errors.Is(err, driver.ErrBadConn) { // database/sql goes on after every other error
		to, leases = conn.Stale, 0
	}
	c.e.cell.Move(w, to, leases)
	return err
}

// IsValid is the moment of return.
func (c *guardedConn) IsValid() bool {
	if c.looked {
		return c.unlook()
	}
	now := c.heardOf()
	if c.refused {
		c.refused = false
		c.b.standing.refused(c.e.peer, c.b.now())
	}
	if cause := c.b.over(c.e, c.b.limits.Load(), now); cause != conn.None {
		c.e.cause.CompareAndSwap(0, uint32(cause))
		return false
	}
	if !c.fit() {
		return false
	}
	c.e.heard.Store(now)
	if c.g != nil {
		c.g.Begin() // what is left unanswered now, such as mysql's COM_STMT_CLOSE, waits for nothing
	}
	if w := c.e.cell.Load(); w.State() == conn.InUse {
		c.e.cell.Move(w, conn.Idle, 0)
	}
	return true
}

// heardOf is when the newest byte came or went, which for all but a connection that was kept for long without a word is now, and needs no clock.
func (c *guardedConn) heardOf() int64 {
	if c.g == nil {
		return c.b.now()
	}
	at, _ := c.g.LastByte()
	return max(c.b.at(at), c.e.heard.Load())
}

// Close ends the connection and says why, as far as database/sql lets it be known.
func (c *guardedConn) Close() error {
	w := c.e.cell.Load()
	if w.State() == conn.Closing || w.State() == conn.Closed {
		return c.inner.Close()
	}
	cause := c.cause(w.State())
	if w.State() != conn.Stale {
		w, _ = c.e.cell.Move(w, conn.Stale, 0)
	}
	w, _ = c.e.cell.Move(w, conn.Closing, 0)
	if c.g != nil && !c.g.Dead() {
		c.g.Retire(cause)
	}
	err := c.inner.Close()
	c.e.cell.Move(w, conn.Closed, 0)
	c.b.remove(c.e, cause)
	if errors.Is(err, guard.ErrAmbiguous) || errors.Is(err, guard.ErrDead) {
		return nil // the goodbye of a lost connection fails; the record says how it ended
	}
	return err
}

// cause finds why database/sql closes the connection, which it does not tell.
func (c *guardedConn) cause(state conn.State) conn.Cause {
	if own := conn.Cause(c.e.cause.Load()); own != conn.None { //nolint:gosec // stored from a Cause
		return own
	}
	if c.bad || state == conn.InUse {
		return conn.Error
	}
	_, all := closing()
	return c.b.plan(c.b.now()-c.e.born, all)
}

// plan is why database/sql closes a connection that is fit: the database is closed, as part of which it closes all, or the connection is too old, or
// its cleaner, or its limit of idle connections, found it to be one too many.
func (b *book) plan(age int64, all bool) conn.Cause {
	l := b.limits.Load()
	switch {
	case all, b.gone.Load():
		return conn.Drained
	case l.MaxLifetime > 0 && age >= int64(l.MaxLifetime):
		return conn.MaxLifetime
	default:
		return conn.MaxIdle
	}
}

// closing reports, by the stack, whether database/sql is closing a connection by its own decision, and whether it closes all of the database. It cannot be
// asked: it may hold its locks meanwhile.
func closing() (one, all bool) {
	eachCaller(func(function string) bool {
		switch {
		case function == "database/sql.(*DB).Close":
			one, all = true, true
		case strings.HasPrefix(function, "database/sql.(*driverConn).finalClose"), function == "database/sql.(*DB).openNewConnection":
			one = true
		}
		return !all
	})
	return one, all
}

// deepest bounds how many callers are looked at.
const deepest = 64

// eachCaller names the functions on the stack, the innermost first, for as long as next wants more.
func eachCaller(next func(function string) bool) {
	var pcs [deepest]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		if !next(f.Function) || !more {
			return
		}
	}
}
