package pool

import (
	"sync/atomic"
	"unsafe"
)

// slot points to a connection for the goroutines that look here first. The pointer is a hint: the connection may be lent, or lie in the
// idle list. Only when its word says that it is offered does it rest here, and then whoever moves the word has it. So a loan and a
// return cost one atomic operation each. A slot fills two cache lines, because processors fetch lines in pairs and neighbours must not
// wait for each other.
type slot[T any] struct {
	e atomic.Pointer[entry[T]]
	_ [120]byte
}

// hints is how many groups of goroutines have a slot of their own choice.
const hints = 64

// home gives the caller's group, by the address of its stack: goroutines that run at the same time mostly have different ones, and it
// costs no system call and no link into the runtime.
func home() uint64 {
	var here byte
	return uint64(uintptr(unsafe.Pointer(&here))>>11) * 0x9E3779B97F4A7C15 >> 58
}

// grab borrows the offered connection of one of two slots, if there is one that needs no closer look. A group that meets another one's
// connection in its slot changes over to the other slot for good, so that goroutines that run side by side part.
func (p *Pool[T]) grab() (Lease[T], bool) {
	group := home()
	i := int(p.hints[group].Load())
	for turn := range 2 {
		if e := p.slots[i].e.Load(); e != nil && e.cell.Load().Offered() {
			now, goes := p.reading()
			if !goes {
				now = p.firstNow()
			}
			seq, t := e.take(p.rules.Load(), now)
			switch t {
			case taken:
				if turn > 0 {
					p.hints[group].Store(uint32(i)) //nolint:gosec // there are at most 64 slots
				}
				l := Lease[T]{e: e, seq: seq}
				if p.attends(e, seq) {
					l.h = p.attend(e, seq)
				}
				return l, true
			case aged:
				return Lease[T]{}, false
			case missed:
			}
		}
		if i++; i == len(p.slots) {
			i = 0
		}
	}
	return Lease[T]{}, false
}

// lastBerth is the slot that pointed to e last, if it still does.
func (e *entry[T]) lastBerth() *slot[T] {
	if s := e.at.Load(); s != nil && s.e.Load() == e {
		return s
	}
	return nil
}

// berth gives a slot to e, which the caller owns: one of two in which nothing is offered. Nil: there is none.
func (p *Pool[T]) berth(e *entry[T]) *slot[T] {
	i := int(p.hints[home()].Load())
	for range 2 {
		s := &p.slots[i]
		old := s.e.Load()
		if old == nil || !old.cell.Load().Offered() {
			e.at.Store(s)
			if s.e.CompareAndSwap(old, e) {
				if old != nil {
					p.takeBack(old) // its user may have offered it meanwhile, where nobody would find it now
				}
				return s
			}
		}
		if i++; i == len(p.slots) {
			i = 0
		}
	}
	return nil
}

// takeBack gives e to the line or the idle list, if it is still offered.
func (p *Pool[T]) takeBack(e *entry[T]) {
	if w, ok := e.cell.Withdraw(e.cell.Load()); ok {
		p.handBack(e, w)
	}
}

// sweepSlotsLocked moves what is offered into the idle list, so that the pool's bookkeeping sees one order of age.
func (p *Pool[T]) sweepSlotsLocked() {
	for i := range p.slots {
		e := p.slots[i].e.Load()
		if e == nil {
			continue
		}
		if _, ok := e.cell.Withdraw(e.cell.Load()); ok {
			p.insertLocked(e)
		}
	}
}

// takeIdleLocked takes a connection that was used lately out of the store: the head of the list, or the last used of all when that is not
// fresh. The caller owns it. What is offered is left to those who find it without the lock, as long as the list has something as good.
func (p *Pool[T]) takeIdleLocked() *entry[T] {
	if e := p.idle.head; e == nil || p.glimpse()-e.stamp.Load() >= int64(probeAfter) {
		p.sweepSlotsLocked()
	}
	e := p.idle.head
	if e != nil {
		p.idle.remove(e)
	}
	return e
}

// insertLocked puts e where its age belongs: the head was used last, the tail is idle for longest.
func (p *Pool[T]) insertLocked(e *entry[T]) {
	near := e.near
	e.near = nil
	behind, _ := p.idle.place(e.stamp.Load(), near)
	p.idle.insertAfter(e, behind)
}

// unlinkLocked takes one given connection out of the store, if it rests there. True: the caller owns it now.
func (p *Pool[T]) unlinkLocked(e *entry[T]) bool {
	if e.listed {
		p.idle.remove(e)
		return true
	}
	_, ok := e.cell.Withdraw(e.cell.Load())
	return ok
}

// idleList is a doubly linked list through the entries. All of it is guarded by Pool.mu.
type idleList[T any] struct {
	head, tail *entry[T]
	n          int
}

// place finds behind which entry one belongs that was used at the given time, nil meaning in front of all, and in how many steps. Returned
// connections belong to the head. Others are sought from the tail and, where there is one, from the neighbour they had, at the same pace:
// so one that a heartbeat took out of thousands finds back at once, and a neighbour that was used meanwhile costs no more than none.
func (l *idleList[T]) place(at int64, near *entry[T]) (behind *entry[T], steps int) {
	if l.head == nil || at >= l.head.stamp.Load() {
		return nil, 0
	}
	if near != nil && (!near.listed || near.stamp.Load() < at) {
		near = nil
	}
	for tail := l.tail; tail != nil; tail = tail.prev {
		if tail.stamp.Load() >= at {
			return tail, steps
		}
		if near != nil {
			if near.next == nil || near.next.stamp.Load() < at {
				return near, steps
			}
			near = near.next
		}
		steps++
	}
	return nil, steps
}

// insertAfter puts e behind at; nil means in front of all.
func (l *idleList[T]) insertAfter(e, at *entry[T]) {
	if at == nil {
		e.prev, e.next = nil, l.head
		l.head = e
	} else {
		e.prev, e.next = at, at.next
		at.next = e
	}
	if e.next == nil {
		l.tail = e
	} else {
		e.next.prev = e
	}
	e.listed = true
	l.n++
}

func (l *idleList[T]) remove(e *entry[T]) {
	if e.prev == nil {
		l.head = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.tail = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next, e.listed = nil, nil, false
	l.n--
}
