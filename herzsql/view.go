package herzsql

import (
	"cmp"
	"database/sql"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// View shows the connections of one database. It is what the board wants of a source. A View stays usable, with its last
// numbers, after the database is closed.
type View struct {
	book *book             // guarded mode
	pool *pool.Pool[*phys] // pooled mode
	db   *sql.DB           // of pooled mode, or, with neither, one that Herz did not open
	cuts *cuts             // nil where Herz did not open it
}

// StackMarks are addresses by which a reader of stacks tells that a goroutine works for this database; see [pool.Pool.StackMarks].
func (v *View) StackMarks() []uintptr {
	db := v.db
	if v.book != nil {
		db = v.book.db
	}
	list := []uintptr{reflect.ValueOf(db).Pointer()}
	if v.pool != nil {
		list = append(list, v.pool.StackMarks()...)
	}
	return list
}

var views struct {
	// mu guards byDB. Nothing is called under it.
	mu   sync.RWMutex
	byDB map[*sql.DB]*View
}

func enroll(db *sql.DB, v *View) {
	views.mu.Lock()
	defer views.mu.Unlock()
	if views.byDB == nil {
		views.byDB = make(map[*sql.DB]*View)
	}
	views.byDB[db] = v
}

func withdraw(db *sql.DB) {
	views.mu.Lock()
	defer views.mu.Unlock()
	delete(views.byDB, db)
}

// Source gives the view of an open database. For one that Herz did not open, or that is closed, it shows what database/sql
// itself counts, and no connections.
func Source(db *sql.DB) *View {
	views.mu.RLock()
	defer views.mu.RUnlock()
	if v := views.byDB[db]; v != nil {
		return v
	}
	return &View{db: db}
}

// Stats gives the true numbers of a database in both modes; (*sql.DB).Stats counts dead connections as idle, and in pooled
// mode knows nothing of the pool. In guarded mode Waiting is always 0: database/sql does not tell.
func Stats(db *sql.DB) pool.Stats { return Source(db).Stats() }

// SetLimits changes the limits of an open database, at once. It refuses, and changes nothing, where a limit cannot work or
// has no effect in the database's mode, and for a database that Herz did not open.
func SetLimits(db *sql.DB, l pool.Limits) error { return Source(db).SetLimits(l) }

// Name is the name of the database.
func (v *View) Name() string {
	switch {
	case v.pool != nil:
		return v.pool.Name()
	case v.book != nil:
		return v.book.name
	default:
		return ""
	}
}

// Limits are the limits in force, with every default filled in. In guarded mode the fields of Herz's own pool are zero.
func (v *View) Limits() pool.Limits {
	switch {
	case v.pool != nil:
		return v.pool.Limits()
	case v.book != nil:
		return *v.book.limits.Load()
	default:
		return pool.Limits{}
	}
}

// SetLimits changes the limits; see the function [SetLimits].
func (v *View) SetLimits(l pool.Limits) error {
	switch {
	case v.pool != nil:
		return v.pool.SetLimits(l)
	case v.book != nil:
		return v.book.setLimits(l)
	default:
		return fmt.Errorf("herz/herzsql: set limits: %w", errForeign)
	}
}

func (b *book) setLimits(l pool.Limits) error {
	after, err := guardedLimits(l)
	if err != nil {
		return err
	}
	b.limiting.Lock()
	before := *b.limits.Load()
	b.apply(after)
	b.limiting.Unlock()
	b.tell(pool.Event{Kind: pool.LimitsChanged, Limits: &pool.LimitsChange{Before: before, After: after}})
	return nil
}

// Deaths are the newest connections that ended, newest first, at most 128.
func (v *View) Deaths() []conn.Death {
	switch {
	case v.pool != nil:
		return v.pool.Deaths()
	case v.book != nil:
		v.book.mu.Lock()
		defer v.book.mu.Unlock()
		return v.book.deaths.newest()
	default:
		return nil
	}
}

// Unasked names the places in the program at which a result was cut short, because its connection was lost while rows were read, and nobody looked at
// the error: rows.Err() was not asked, or only compared with nil. Newest first, at most 32 places. It is known when the error is collected as
// garbage. An answer of the server that ends the rows, and the end of the caller's own context, are not followed.
func (v *View) Unasked() []conn.Unasked {
	if v.cuts == nil {
		return nil
	}
	return v.cuts.list()
}

// Stats counts the connections in one pass over their states. A dead connection is stale until database/sql closes it,
// never active or idle.
func (v *View) Stats() pool.Stats {
	switch {
	case v.pool != nil:
		return v.pool.Stats()
	case v.book != nil:
		return v.book.stats()
	default:
		s := v.db.Stats()
		return pool.Stats{Open: s.OpenConnections, Idle: s.Idle, InUse: s.InUse, Waits: unsigned(s.WaitCount), WaitTime: s.WaitDuration}
	}
}

// Drift is how many connections are taken for open that are not, as the kernel says; see [pool.Pool.Drift]. 0 for a database that Herz did not open.
func (v *View) Drift() int {
	switch {
	case v.pool != nil:
		return v.pool.Drift()
	case v.book != nil:
		return v.book.drift()
	default:
		return 0
	}
}

func (b *book) drift() int {
	b.mu.Lock()
	all := make([]*guard.Conn, 0, len(b.entries))
	for _, e := range b.entries {
		if e.g != nil && e.cause.Load() == 0 {
			all = append(all, e.g)
		}
	}
	b.mu.Unlock()
	return guard.CountDrifted(all)
}

// Snapshot lists the open connections, oldest first.
func (v *View) Snapshot() []pool.ConnInfo {
	switch {
	case v.pool != nil:
		return v.pool.Snapshot()
	case v.book != nil:
		_, infos := v.book.look()
		return infos
	default:
		return nil
	}
}

func (b *book) stats() pool.Stats {
	own, infos := b.look()
	s := pool.Stats{
		Name: b.name, Acquires: b.acquires(), Dials: b.dials.Load(), DialErrors: b.dialErrs.Load(),
		Heartbeats: b.pings.Load(), HeartbeatErrs: b.pingErrs.Load(),
		Waits: unsigned(own.WaitCount), WaitTime: own.WaitDuration,
	}
	b.mu.Lock()
	s.Closed, s.LastDialError, s.Generation = maps.Clone(b.causes), b.lastDialErr, b.generation
	b.mu.Unlock()
	for i := range infos {
		switch infos[i].State {
		case conn.Idle:
			s.Idle++
		case conn.Checking:
			s.Checking++
		case conn.InUse:
			s.InUse++
		case conn.Stale:
			s.Stale++
		default:
			s.Closing++
		}
	}
	s.Leases = s.InUse
	s.Open = s.Idle + s.Checking + s.InUse + s.Stale + s.Closing
	s.Dialing = int(s.Dials - s.DialErrors - b.dialled.Load()) //nolint:gosec // a small difference
	return s
}

// look reads every connection once.
func (b *book) look() (sql.DBStats, []pool.ConnInfo) {
	own := b.db.Stats()
	b.mu.Lock()
	all := make([]*entry, 0, len(b.entries))
	for _, e := range b.entries {
		all = append(all, e)
	}
	b.mu.Unlock()
	now := b.now()
	infos := make([]pool.ConnInfo, 0, len(all))
	for _, e := range all {
		infos = append(infos, e.info(now))
	}
	if b.bare {
		guessIdle(infos, own.InUse)
	}
	slices.SortFunc(infos, func(x, y pool.ConnInfo) int { return cmp.Compare(x.ID, y.ID) })
	if !b.bare {
		restFresh(infos, own.InUse)
	}
	return own, infos
}

func (e *entry) info(now int64) pool.ConnInfo {
	w := e.cell.Load()
	i := pool.ConnInfo{
		ID: e.id, State: w.State(), Peer: e.peer, Generation: e.gen, Age: time.Duration(now - e.born), Uses: e.uses(), Leases: w.Leases(),
		LastHeartbeat: time.Duration(e.pong.Load()), Cause: conn.Cause(e.cause.Load()), //nolint:gosec // stored from a Cause
	}
	if e.g != nil && e.g.Dead() && i.State != conn.Closing && i.State != conn.Closed {
		i.State, i.Leases = conn.Stale, 0
		if d, ok := e.g.Death(); ok {
			i.Cause = d.Cause
		}
	}
	switch i.State {
	case conn.InUse:
		i.Held = time.Duration(now - e.since.Load())
	case conn.Idle, conn.Checking:
		i.Idle = time.Duration(now - e.heard.Load())
	case conn.Dialing, conn.Stale, conn.Closing, conn.Closed:
	}
	return i
}

// guessIdle decides which bare connections are idle. Their number is database/sql's own; which they are is not told, so
// those lent longest ago are taken, because database/sql lends the newest first.
func guessIdle(infos []pool.ConnInfo, inUse int) {
	slices.SortFunc(infos, func(x, y pool.ConnInfo) int { return cmp.Compare(x.Held, y.Held) })
	for i := range infos {
		if infos[i].State != conn.InUse {
			continue
		}
		if inUse > 0 {
			inUse--
			continue
		}
		infos[i].State, infos[i].Leases = conn.Idle, 0
		infos[i].Idle, infos[i].Held = infos[i].Held, 0
	}
}

// restFresh tells of connections as idle that database/sql dialled for somebody who had left: it keeps them without having lent them, and says so to nobody.
// How many there are is known by its own number of those in use.
func restFresh(infos []pool.ConnInfo, inUse int) {
	lent := 0
	for i := range infos {
		if infos[i].State == conn.InUse {
			lent++
		}
	}
	for i := range infos {
		if lent > inUse && infos[i].State == conn.InUse && infos[i].Uses <= 1 {
			infos[i].State, infos[i].Leases = conn.Idle, 0
			infos[i].Idle, infos[i].Held = infos[i].Held, 0
			lent--
		}
	}
}

func unsigned(n int64) uint64 { return uint64(max(n, 0)) } //nolint:gosec // never negative
