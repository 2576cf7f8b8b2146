package pool

import (
	"sync/atomic"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// core is what each loan and each return looks at. It has no type parameter: code with one is compiled where a user makes a pool of his type, and there
// the compiler puts the small functions of conn and guard in place of calls only if this package calls them in code without. As calls, they cost half
// as much again as a loan.
type core struct {
	cell    conn.Cell
	guard   *guard.Conn   // nil when none was found; immutable once the dial is over
	gen     uint64        // generation of the pool when the dial began; immutable
	expires atomic.Int64  // end of its lifetime, by the pool's clock
	stamp   atomic.Int64  // when it was last lent or returned, by the pool's clock
	proven  atomic.Int64  // when a ping last succeeded
	pledge  atomic.Uint64 // number of the newest lease at that time
}

// dead reports whether the guard has seen the connection end.
func (c *core) dead() bool { return c.guard != nil && c.guard.Dead() }

// condemned reports whether somebody wants the connection to go at its next loan or return, or it has ended.
func (c *core) condemned() bool {
	if c.guard == nil {
		return false
	}
	_, bad := c.guard.Condemned()
	return bad || c.guard.Dead()
}

// touch notes the time of a loan or a return. The coarse clock stands still for ten milliseconds at a time, so that most calls
// find the stamp right already and write nothing.
func (c *core) touch(now int64) {
	if c.stamp.Load() != now {
		c.stamp.Store(now)
	}
}

// quiet is how long nothing has proved the connection alive.
func (c *core) quiet(now int64) int64 { return now - max(c.stamp.Load(), c.proven.Load()) }

// proved reports whether the connection has answered since its newest loan, and just now.
func (c *core) proved(now int64) bool {
	return c.pledge.Load() == c.cell.Load().Seq() && now-c.proven.Load() < int64(tick)
}

// keeps reports whether the connection may rest in the store after the lease w. It asks only what costs a load.
func (c *core) keeps(r *rules, w conn.Word) bool {
	return c.gen == r.generation && w.Seq() < r.maxUses && !c.condemned()
}

// taking is what became of the attempt to take an offered connection.
type taking uint8

const (
	missed taking = iota // it is not offered, or somebody else was faster
	aged                 // it is offered and needs a closer look
	taken                // it is lent
)

// take lends the connection, if it is offered and needs no closer look, and gives the number of the lease.
func (c *core) take(r *rules, now int64) (seq uint64, t taking) {
	w := c.cell.Load()
	switch {
	case !w.Offered():
		return 0, missed
	case c.gen != r.generation, now >= c.expires.Load(), c.quiet(now) >= r.probeAfter, c.condemned():
		return 0, aged // examine knows why
	}
	w, ok := c.cell.Claim(w)
	if !ok {
		return 0, missed
	}
	c.touch(now)
	return w.Seq(), taken
}

// returns reports whether w is the word of the loan seq, and so may be ended by it.
func returns(w conn.Word, seq uint64) bool { return w.State() == conn.InUse && w.Seq() == seq }
