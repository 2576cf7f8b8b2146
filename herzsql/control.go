package herzsql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// errForeign is why the verbs do nothing: Herz is not under this database.
var errForeign = errors.New("this database was not opened by herzsql, or is closed")

// Controllable is nil where the verbs below work, and the reason where they do not: for a database that Herz did not open, or
// that was closed before its view was taken.
func (v *View) Controllable() error {
	if v.pool == nil && v.book == nil {
		return fmt.Errorf("herz/herzsql: %w", errForeign)
	}
	return nil
}

// NumActive is the number of connections that are lent now, by the name that commons-pool and its JMX beans have for it. It is Stats().InUse.
func (v *View) NumActive() int { return v.Stats().InUse }

// NumIdle is the number of idle connections, by the name that commons-pool and its JMX beans have for it. It is Stats().Idle.
func (v *View) NumIdle() int { return v.Stats().Idle }

// EvictStale checks every connection that is idle now, closes those that are dead, too old or do not answer a ping, and returns
// how many were closed; on the context's end also its error.
//
// In pooled mode this is [pool.Pool.EvictStale]. In guarded mode the idle connections are taken out of database/sql's own pool for it,
// all of them for some microseconds, and a tenth of them, one at least, while they are pinged one after the other; after one ping that
// was not answered the others to its address go without one. Nothing is dialled for it. A connection that was looked at and kept
// begins a new MaxIdleTime, because database/sql counts that from its return.
func (v *View) EvictStale(ctx context.Context) (int, error) {
	switch {
	case v.pool != nil:
		return v.pool.EvictStale(ctx)
	case v.book != nil:
		return v.book.evictStale(ctx)
	default:
		return 0, fmt.Errorf("herz/herzsql: evict stale connections: %w", errForeign)
	}
}

// Invalidate makes every connection that is open or being dialled now unfit: none of them is lent again. Idle ones are closed at once, lent
// ones when they are returned. Cause says why, for the record; see [pool.Pool.Invalidate]. For a database that Herz did not open it
// does nothing; see Controllable.
//
// In guarded mode it waits for the goodbyes of the idle ones, no longer than HeartbeatTimeout; what is left then is closed by the next who
// would borrow it. So are connections of pgx that were lent: pgx does not tell when they come back.
func (v *View) Invalidate(cause error) {
	switch {
	case v.pool != nil:
		v.pool.Invalidate(cause)
	case v.book != nil:
		v.book.invalidate(cause)
	}
}

// Drain ends the database gently: nobody gets a connection any more ([pool.ErrClosed]), idle ones are closed, and Drain waits until the lent ones
// have been returned and closed too. Then the *sql.DB is closed. When ctx ends first, Drain returns an error that says how many are
// still lent; the database goes on draining, and another Drain or Close may follow.
//
// A transaction, an *sql.Conn and open rows may be finished. In pooled mode callers who wait are refused at once. In guarded mode they stand in
// database/sql's own line, which gives them the refusal with the next connection that comes back.
func (v *View) Drain(ctx context.Context) error {
	switch {
	case v.pool != nil:
		if err := v.pool.Drain(ctx); err != nil {
			return err
		}
		return v.db.Close()
	case v.book != nil:
		return v.book.drain(ctx)
	default:
		return fmt.Errorf("herz/herzsql: drain: %w", errForeign)
	}
}

// invalidate raises the generation, marks what is there, and lets database/sql close what of it is idle.
func (b *book) invalidate(why error) {
	cause := conn.Generation
	if known := interface{ Cause() conn.Cause }(nil); errors.As(why, &known) {
		cause = known.Cause()
	}
	b.mu.Lock()
	b.generation++
	b.outdated = cause
	now := b.generation
	b.markLocked(cause)
	b.mu.Unlock()
	b.tell(pool.Event{Kind: pool.PoolCleared, Generation: now, Cause: cause, Err: why})
	b.flushBriefly()
}

// flushBriefly is flush without a caller's context.
func (b *book) flushBriefly() {
	ctx, cancel := context.WithTimeout(context.Background(), b.limits.Load().HeartbeatTimeout)
	defer cancel()
	b.flush(ctx)
}

// markLocked makes every connection unfit that is not so already.
func (b *book) markLocked(cause conn.Cause) {
	for _, e := range b.entries {
		e.cause.CompareAndSwap(0, uint32(cause))
	}
}

// drainLook is the pause between two looks at a database that drains: database/sql tells nobody when a connection comes back.
const drainLook = 10 * time.Millisecond

func (b *book) drain(ctx context.Context) error {
	b.mu.Lock()
	b.draining = true
	b.markLocked(conn.Drained)
	b.mu.Unlock()
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for {
		b.flush(ctx)
		if b.db.Stats().OpenConnections == 0 {
			return b.db.Close()
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			b.flushBriefly() // ctx may have ended before what is idle was closed
			lent := fmt.Sprintf("%d connections are", b.db.Stats().InUse)
			if b.db.Stats().InUse == 1 {
				lent = "1 connection is"
			}
			return fmt.Errorf("herz/herzsql: drain %q: %s still lent: %w", b.name, lent, ctx.Err())
		}
	}
}

// round is one walk over the idle connections of a database in guarded mode. They belong to database/sql, which lends the one used last
// and no other; so the walk borrows them one after the other, until none is left, and gives them back. Its context carries the round,
// by which the check before a loan knows that nobody wants to use the connection. It is used by one goroutine.
type round struct {
	book   *book
	closed int                 // by the round
	asked  map[*entry]struct{} // who answered a ping of the round
	met    *met                // the connection that is on its way to the round
}

// met is an idle connection in the hands of a round.
type met struct {
	e     *entry
	probe Probe
	own   *sql.Conn
}

type roundKey struct{}

// roundOf gives the round that wants a connection, or nil. It costs those who do not come from a round one load.
func (b *book) roundOf(ctx context.Context) *round {
	if b.rounds.Load() == 0 {
		return nil
	}
	r, _ := ctx.Value(roundKey{}).(*round)
	return r
}

// meet looks at an idle connection, in place of the check before a loan. An error means that database/sql closes it.
func (r *round) meet(e *entry, p Probe) error {
	b, now := r.book, r.book.now()
	l := b.limits.Load()
	cause := b.over(e, l, now)
	if cause == conn.None && l.MaxIdleTime > 0 && now-e.heard.Load() > int64(l.MaxIdleTime) {
		cause = conn.MaxIdle
	}
	if cause != conn.None {
		r.closed++
		return b.retire(e, cause, now)
	}
	if e.g != nil {
		if err := e.g.Alive(); err != nil {
			r.closed++
			return &refusal{reason: err, safe: true}
		}
	}
	if b.suspected(e) {
		r.closed++
		return b.abort(e, errSilentPeer)
	}
	e.since.Store(now)
	r.met = &met{e: e, probe: p}
	return nil
}

// takeTime bounds one step of a round. It waits only where somebody was quicker, and its place in database/sql's line is no better than his.
const takeTime = 100 * time.Millisecond

var errNoDial = errors.New("herz/herzsql: a look at the idle connections dials none")

// take borrows all that is idle. What is unfit is closed on the way. Of those that were dialled and never lent nothing is known yet: they
// have no entry.
func (r *round) take(ctx context.Context) []*met {
	var all []*met
	db := r.book.db
	for tries := 2*db.Stats().Idle + 8; tries > 0 && ctx.Err() == nil && db.Stats().Idle > 0; tries-- {
		r.met = nil
		step, cancel := context.WithTimeout(context.WithValue(ctx, roundKey{}, r), takeTime)
		c, err := db.Conn(step)
		cancel()
		if err != nil {
			continue // what was idle was unfit, or somebody was quicker
		}
		m := r.met
		if m == nil {
			m = &met{}
		}
		m.own = c
		all = append(all, m)
	}
	return all
}

// giveBack returns the connections in the order in which they lay there, the one used last on top.
func giveBack(all []*met) {
	for i := len(all) - 1; i >= 0; i-- {
		_ = all[i].own.Close()
	}
}

// flush closes what is idle and unfit.
func (b *book) flush(ctx context.Context) {
	b.rounds.Add(1)
	defer b.rounds.Add(-1)
	r := &round{book: b}
	for range 2 { // the second time for those of which nothing was known
		all := r.take(ctx)
		giveBack(all)
		if !slices.ContainsFunc(all, func(m *met) bool { return m.e == nil }) {
			return
		}
	}
}

func (b *book) evictStale(ctx context.Context) (int, error) {
	b.rounds.Add(1)
	defer b.rounds.Add(-1)
	r := &round{book: b, asked: map[*entry]struct{}{}}
	batch := max(1, b.db.Stats().OpenConnections/10)
	for strangers := 0; strangers < 3; { // bounded, should others be dialled and not lent all the time
		mine, left, unknown := r.choose(ctx, batch)
		r.ask(ctx, mine)
		if err := ctx.Err(); err != nil {
			return r.closed, fmt.Errorf("herz/herzsql: evict stale connections of %q: %d left unchecked: %w", b.name, left, err)
		}
		if left == 0 {
			break
		}
		if unknown {
			strangers++
		}
	}
	return r.closed, nil
}

// choose takes the next connections to be pinged, and says how many are left for later; unknown, whether there were some of which nothing is
// known yet.
func (r *round) choose(ctx context.Context, batch int) (mine []*met, left int, unknown bool) {
	all := r.take(ctx)
	rest := make([]*met, 0, len(all))
	for _, m := range all {
		_, asked := r.asked[m.e]
		switch {
		case m.e == nil:
			unknown = true
			left++
		case asked || !m.probe.some(m.e): // done
		case len(mine) < batch:
			mine = append(mine, m)
			continue
		default:
			left++
		}
		rest = append(rest, m)
	}
	giveBack(rest)
	return mine, left, unknown
}

// ask pings connections, one after the other, and gives back those that answer. The others are closed.
func (r *round) ask(ctx context.Context, mine []*met) {
	b := r.book
	for _, m := range mine {
		err := m.own.Raw(func(any) error {
			if ctx.Err() != nil {
				return nil
			}
			r.asked[m.e] = struct{}{}
			if b.suspected(m.e) {
				return b.abort(m.e, errSilentPeer)
			}
			if err := b.ping(ctx, m.e, b.limits.Load(), b.question(m.e, m.probe)); err != nil {
				return b.abort(m.e, err)
			}
			return b.judge(m.e)
		})
		if err != nil { // driver.ErrBadConn: it is closed already
			r.closed++
			continue
		}
		_ = m.own.Close()
	}
}

// meet is ResetSession when a round borrows the connection.
func (c *guardedConn) meet(r *round, p Probe) error {
	w := c.e.cell.Load()
	if w.State() == conn.Idle {
		w, _ = c.e.cell.Move(w, conn.Checking, 0)
	}
	if err := r.meet(c.e, p); err != nil {
		c.e.cell.Move(w, conn.Stale, 0)
		return err
	}
	c.looked = true
	return nil
}

// unlook is IsValid when a round gives the connection back: nobody used it, so nothing new is known of its server.
func (c *guardedConn) unlook() bool {
	c.looked = false
	if c.b.over(c.e, c.b.limits.Load(), c.b.now()) != conn.None || !c.fit() {
		return false
	}
	if w := c.e.cell.Load(); w.State() == conn.Checking {
		c.e.cell.Move(w, conn.Idle, 0)
	}
	return true
}
