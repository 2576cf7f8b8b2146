package conn

import (
	"fmt"
	"sync/atomic"
)

// Word is a state with what must change in the same instant: the number of leases out now and the number of the
// newest lease. The zero Word is a connection that is being dialled and was never lent.
//
//	bits 0–6 state | bit 7 offered | bits 8–23 leases out | bits 24–63 number of the newest lease
type Word uint64

const (
	offered    = 1 << 7
	leaseShift = 8
	leaseMask  = 1<<16 - 1
	seqShift   = 24

	// MaxLeases is the greatest number of leases that one connection can have out at the same time.
	MaxLeases = leaseMask
)

// State is the state in the word.
func (w Word) State() State { return State(w & (offered - 1)) }

// Offered reports whether the connection is Idle and has no owner, so that whoever claims it first may have it. See [Cell.Offer].
func (w Word) Offered() bool { return w&offered != 0 }

// Leases is the number of leases out. It is greater than 0 exactly when the state is InUse.
func (w Word) Leases() int { return int(w >> leaseShift & leaseMask) }

// Seq is the number of the newest lease, counted from 1; 0 when the connection was never lent. It is also the number
// of times the connection was lent. It has 40 bits: at a million leases a second it wraps after 12 days of one
// connection's life, and a wrap only weakens the detection of a lease used after its return.
func (w Word) Seq() uint64 { return uint64(w >> seqShift) }

// Cell holds the Word of one connection. The zero value is ready: Dialing. It must not be copied.
type Cell struct{ w atomic.Uint64 }

// Load returns the word as it is now.
func (c *Cell) Load() Word { return Word(c.w.Load()) }

// Move takes the connection from old to state to with the given number of leases out, if old is still its word, and
// returns the new word. It returns false, and changes nothing, when another goroutine moved the connection first.
//
// A move that raises the number of leases, or goes from InUse to InUse without lowering it, is a new lease and gets the
// next number. Move panics on a move that the table of legal moves does not have, and on a number of leases that does
// not fit the state: both are broken invariants of the caller, never the result of a race.
func (c *Cell) Move(old Word, to State, leases int) (Word, bool) {
	if old.Offered() || legal[old&7]>>to&1 == 0 || (to == InUse) != (leases > 0) || leases > MaxLeases {
		refuse(old, to, leases)
	}
	next := uint64(old)&^(1<<seqShift-1) | uint64(leases)<<leaseShift | uint64(to)
	if to == InUse && leases >= old.Leases() {
		next += 1 << seqShift
	}
	return Word(next), c.w.CompareAndSwap(uint64(old), next)
}

// Offer ends the only lease of a connection that is InUse and gives up its ownership: it is Idle, and the first [Cell.Claim] or
// [Cell.Withdraw] has it. It returns false, and changes nothing, when old is no longer the word. It panics when old is not InUse with
// one lease. An offer and a claim are one atomic operation each; a connection that rests where only its owner finds it needs neither.
func (c *Cell) Offer(old Word) bool {
	if old&(1<<seqShift-1) != Word(InUse)|1<<leaseShift {
		refuse(old, Idle, 0)
	}
	return c.w.CompareAndSwap(uint64(old), uint64(old&^(1<<seqShift-1)|Word(Idle)|offered))
}

// Claim lends an offered connection: it is InUse with one new lease, whose number is in the word returned. It returns false, and changes
// nothing, when old was not offered or is no longer the word.
func (c *Cell) Claim(old Word) (Word, bool) {
	next := old&^(1<<seqShift-1) + 1<<seqShift | 1<<leaseShift | Word(InUse)
	return next, old.Offered() && c.w.CompareAndSwap(uint64(old), uint64(next))
}

// Withdraw takes an offered connection back: it is Idle and the caller owns it. It returns false, and changes nothing, when old was
// not offered or is no longer the word.
func (c *Cell) Withdraw(old Word) (Word, bool) {
	next := old &^ offered
	return next, old.Offered() && c.w.CompareAndSwap(uint64(old), uint64(next))
}

// refuse panics: the caller has broken an invariant. It never happens as the result of a race.
func refuse(old Word, to State, leases int) {
	panic(fmt.Sprintf("herz/conn: illegal move from %v with %d leases to %v with %d leases", //nolint:forbidigo // see above
		old.State(), old.Leases(), to, leases))
}
