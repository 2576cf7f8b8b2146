package pool

import (
	"runtime"
	"strings"
	"sync/atomic"

	"herz.example/herz/conn"
)

// never is a time that does not come, in nanoseconds of the pool's clock.
const never = int64(1<<63 - 1)

// always is a silence that is over at once. By the coarse clock the newest sign of life can lie in the future, so that 0 would not do.
const always = -never

// entry is one connection of a pool.
//
// Ownership: an entry that rests either is offered, and then whoever moves its word first owns it; or it lies in the idle list, and then
// whoever takes it out of there owns it. The owner alone may move its state, until it is put back or lent. A lease owns the entry it
// was given. A check owns the entry too, but the maintenance goroutine may cut it: there the state word decides.
type entry[T any] struct {
	core

	at    atomic.Pointer[slot[T]] // the slot that pointed to it last
	pool  *Pool[T]
	value T

	id       uint64
	born     int64
	jitter   float64 // share of MaxLifetimeJitter that is taken off its lifetime, drawn once
	peer     string
	rtt      atomic.Int64
	lentAt   atomic.Int64 // exact begin of the present lease, where an observer is called
	identity atomic.Pointer[string]
	holder   stack
	spare    *waiter[T] // see retire; its owner's

	// Guarded by Pool.mu.
	prev, next *entry[T] // idle list
	listed     bool
	near       *entry[T] // the younger neighbour from which a heartbeat took it, until it is laid back or leaves
	made       bool      // its dial succeeded
	index      int       // in Pool.all
	closing    conn.Cause
	check      *check
	asked      bool             // it is to say again who it is, although it is not yet time for a heartbeat
	doomed     conn.Cause       // shared mode: why it takes no more leases
	lending    bool             // a pump is looking at it
	doubted    *check           // shared mode: it is asked for a sign of life beside its leases, and takes no more until it has given one
	tickets    map[uint64]int64 // shared mode: leases that are out, and since when; see lentAt
	newest     int64            // shared mode: when it was last lent, which stamp does not tell, because other leases have ended since
	leakSeen   uint64           // number of the lease that was last reported as long held
}

// settle computes the end of the connection's lifetime under r.
func (e *entry[T]) settle(r *rules) {
	if r.MaxLifetime <= 0 {
		e.expires.Store(never)
		return
	}
	off := int64(e.jitter * float64(max(r.MaxLifetimeJitter, 0)))
	e.expires.Store(e.born + int64(r.MaxLifetime) - off)
}

// stackDepth is how many frames of a borrower are kept.
const stackDepth = 12

// stack is where one lease was taken. Readers may come at any time, so the frames are atomic and carry the number of the lease
// that they belong to: a torn read is told by it.
type stack struct {
	lease  atomic.Uint64
	frames [stackDepth]atomic.Uintptr
}

// record keeps the caller's stack for the lease seq; skip frames belong to the pool.
func (s *stack) record(seq uint64, skip int) {
	var pcs [stackDepth]uintptr
	n := runtime.Callers(skip+2, pcs[:])
	s.lease.Store(0)
	for i := range s.frames {
		pc := uintptr(0)
		if i < n {
			pc = pcs[i]
		}
		s.frames[i].Store(pc)
	}
	s.lease.Store(seq)
}

// text gives the stack of lease seq, or nothing when that lease was not sampled.
func (s *stack) text(seq uint64) string {
	if seq == 0 || s.lease.Load() != seq {
		return ""
	}
	pcs := make([]uintptr, 0, stackDepth)
	for i := range s.frames {
		if pc := s.frames[i].Load(); pc != 0 {
			pcs = append(pcs, pc)
		}
	}
	if s.lease.Load() != seq || len(pcs) == 0 {
		return ""
	}
	return frameText(pcs)
}

func frameText(pcs []uintptr) string {
	var b strings.Builder
	frames := runtime.CallersFrames(pcs)
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, poolPackage) || strings.HasSuffix(f.File, "_test.go") {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(f.Function + " " + f.File + ":" + itoa(f.Line))
		}
		if !more {
			return b.String()
		}
	}
}
