package herzsql

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// book knows the connections of one database in guarded mode, where database/sql owns the pool: what they are doing, how
// they ended, and which addresses have just stopped answering.
type book struct {
	name     string
	observer pool.Observer
	start    time.Time // the zero of all times in the book
	db       *sql.DB   // set before the database is given to anybody
	bare     bool      // connections are the driver's own; their return to the pool is not seen
	maxIdle  int       // as WithMaxIdle
	limits   atomic.Pointer[pool.Limits]

	// No loan writes into the book: what one processor writes, the others have to fetch anew. So loans are counted by the entries.
	dials, dialled, dialErrs, pings, pingErrs atomic.Uint64
	lastLoans                                 atomic.Uint64 // of connections that had left the book already
	lastPingFailure                           atomic.Int64  // of a ping that nobody answered; 0 when there was none
	late                                      atomic.Pointer[lateDial]
	pause                                     pause
	asker                                     asker
	standing                                  standing
	cuts                                      *cuts
	rounds                                    atomic.Int32 // under way, see round
	gone                                      atomic.Bool  // database/sql has closed all it had

	// limiting guards nothing but the order in which limits are put in force and told. database/sql's own lock is taken under it.
	limiting sync.Mutex

	// mu guards what follows. Nothing is called while it is held.
	mu          sync.Mutex
	entries     map[uint64]*entry
	pastLoans   uint64 // of entries that have left
	deaths      deathRing
	causes      map[conn.Cause]uint64
	suspects    map[string]int64
	lastDialErr string
	generation  uint64     // raised by invalidate
	outdated    conn.Cause // why connections of older generations go
	draining    bool
}

// entry is one connection. Its state is moved only by the goroutine to which database/sql has given the connection.
type entry struct {
	id    uint64
	gen   uint64
	g     *guard.Conn // nil when the driver did not dial through a guard
	peer  string
	born  int64
	life  int64 // after which it is not lent again; 0 when there is no such time
	cell  conn.Cell
	heard atomic.Int64  // when the server was last known to answer
	since atomic.Int64  // when it was last lent
	loans atomic.Uint64 // and left
	pong  atomic.Int64  // round trip of the newest ping
	cause atomic.Uint32
	asked atomic.Int64 // until when the answer to a ping is awaited that is under way; 0 when none is

	server    atomic.Pointer[Server] // who answers; nil: it was not told
	met       atomic.Pointer[Server] // the answer to the newest question; between check and judge only
	confirmed atomic.Int64           // when server was last known to be true
}

func newBook(s *settings, l pool.Limits, bare bool) *book {
	b := &book{
		name: s.name, start: time.Now(), bare: bare,
		cuts: s.cuts, entries: map[uint64]*entry{}, causes: map[conn.Cause]uint64{}, suspects: map[string]int64{}, generation: 1,
	}
	b.limits.Store(&l)
	return b
}

func (b *book) now() int64 { return int64(time.Since(b.start)) }

func (b *book) at(t time.Time) int64 { return int64(t.Sub(b.start)) }

// unguardedIDs numbers the connections that have no guard, away from the numbers of those that have one.
var unguardedIDs atomic.Uint64

const unguardedBase = 1 << 52

// add enters a connection that was just dialled and is in use. gen is the generation in which its dial began.
func (b *book) add(g *guard.Conn, l *pool.Limits, gen uint64) *entry {
	now := b.now()
	e := &entry{g: g, born: now, gen: gen}
	if l.MaxLifetime > 0 {
		e.life = int64(l.MaxLifetime)
		if l.MaxLifetimeJitter > 0 {
			e.life -= rand.Int64N(int64(l.MaxLifetimeJitter)) //nolint:gosec // spreads closes in time, keeps no secret
		}
	}
	if g != nil {
		e.id, e.peer = g.ID(), peerOf(g)
	} else {
		e.id = unguardedBase + unguardedIDs.Add(1)
	}
	e.heard.Store(now)
	e.since.Store(now)
	e.loans.Store(1)
	e.cell.Move(e.cell.Load(), conn.InUse, 1)
	b.mu.Lock()
	b.entries[e.id] = e
	switch {
	case b.draining:
		e.cause.Store(uint32(conn.Drained))
	case b.generation != gen:
		e.cause.Store(uint32(b.outdated))
	}
	b.mu.Unlock()
	if g != nil {
		g.SetPool(b.name)
		g.SetOwner(e)
		g.Begin()
		g.OnDeath(func(d conn.Death) { b.died(e, d) })
	}
	return e
}

// left marks the count of an entry that is in the book no more.
const left = 1 << 63

// uses is how often the connection was lent.
func (e *entry) uses() uint64 { return e.loans.Load() &^ left }

// lend counts a loan, at the entry or, where it has just left, in the book.
func (b *book) lend(e *entry) {
	if e.loans.Add(1)&left != 0 {
		b.lastLoans.Add(1)
	}
}

// leaveLocked takes an entry out of the book, once.
func (b *book) leaveLocked(e *entry) {
	if loans := e.loans.Or(left); loans&left == 0 {
		b.pastLoans += loans
	}
	delete(b.entries, e.id)
}

// acquires is how many loans there were.
func (b *book) acquires() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := b.pastLoans + b.lastLoans.Load()
	for _, e := range b.entries {
		sum += e.uses()
	}
	return sum
}

func peerOf(g *guard.Conn) string {
	if a := g.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}

// died records how a guarded connection ended. A bare connection leaves the book here; a wrapped one when database/sql
// closes it, so that one it still holds is seen as stale.
func (b *book) died(e *entry, d conn.Death) {
	switch own := conn.Cause(e.cause.Load()); { //nolint:gosec // stored from a Cause
	case d.Cause != conn.Drained, own == conn.Drained: // known, or given up by Drain
	case b.unanswered(e):
		d.Cause, d.Detail = conn.Heartbeat, "closed by its driver when a ping was not answered in time"
	case b.bare && e.asked.Load() != 0:
		d.Cause, d.Detail = conn.Error, "closed by its driver when a ping failed"
	default:
		one, all := closing()
		if one && b.bare || all {
			d.Cause = b.plan(int64(d.Age), all)
			break
		}
		// The Close of a wrapped connection names its cause to the guard, so this was the driver alone, as when the context of a call ends.
		d.Cause, d.Detail = conn.Error, "closed by its driver: the context of a call ended, or the driver gave it up"
	}
	b.mu.Lock()
	b.deaths.push(d)
	b.causes[d.Cause]++
	if b.bare {
		b.leaveLocked(e)
	}
	b.mu.Unlock()
	// Only what was asked and not answered tells of the peer. A connection that was given up on suspicion tells nothing new,
	// and its idle time may end at an answer.
	if silent(d.Cause) && d.BytesSent > 0 && d.Phase != "idle" {
		b.suspect(e.peer, b.now()-int64(d.Idle))
	}
	b.tell(pool.Event{Kind: pool.ConnectionClosed, Conn: d.ID, Cause: d.Cause, Duration: d.Age, Death: &d})
}

// unanswered reports whether a ping is under way whose time is over. Its driver may be quicker than the guard to close the connection for that.
func (b *book) unanswered(e *entry) bool {
	until := e.asked.Load()
	return until != 0 && b.now() >= until
}

// remove takes a wrapped connection out of the book when database/sql has closed it.
func (b *book) remove(e *entry, cause conn.Cause) {
	b.mu.Lock()
	b.leaveLocked(e)
	if e.g == nil {
		b.causes[cause]++
	}
	b.mu.Unlock()
	if e.g == nil {
		b.tell(pool.Event{Kind: pool.ConnectionClosed, Conn: e.id, Cause: cause, Duration: time.Duration(b.now() - e.born)})
	}
}

// era is the generation of now. The error is that of those who want a connection of a database that drains.
func (b *book) era() (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.draining {
		return 0, fmt.Errorf("herz/herzsql: %q is being drained: %w", b.name, pool.ErrClosed)
	}
	return b.generation, nil
}

func (b *book) tell(e pool.Event) {
	if b.observer == nil {
		return
	}
	e.At, e.Pool = time.Now(), b.name
	b.observer.Observe(e)
}

// silent reports whether a cause means that the path or the server fell silent, so that its other connections are
// suspect as well.
func silent(c conn.Cause) bool {
	return c == conn.Unacked || c == conn.KeepAlive || c == conn.Heartbeat
}

// maxSuspects bounds the addresses remembered; a name resolves to few.
const maxSuspects = 64

// suspect notes that the peer did not answer what was asked at the given time.
func (b *book) suspect(peer string, asked int64) {
	if peer == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.suspects) >= maxSuspects {
		clear(b.suspects)
	}
	b.suspects[peer] = max(b.suspects[peer], asked)
}

// suspected reports whether the peer fell silent after the connection was last known to answer.
func (b *book) suspected(e *entry) bool {
	if e.peer == "" {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	asked, ok := b.suspects[e.peer]
	return ok && e.heard.Load() < asked
}

// deathRing keeps the newest deaths.
type deathRing struct {
	all  [128]conn.Death
	next int
	full bool
}

func (r *deathRing) push(d conn.Death) {
	r.all[r.next] = d
	r.next++
	if r.next == len(r.all) {
		r.next, r.full = 0, true
	}
}

// newest lists the deaths, newest first.
func (r *deathRing) newest() []conn.Death {
	n := r.next
	if r.full {
		n = len(r.all)
	}
	out := make([]conn.Death, n)
	for i := range out {
		out[i] = r.all[(r.next-1-i+len(r.all))%len(r.all)]
	}
	return out
}
