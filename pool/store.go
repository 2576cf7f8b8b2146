package pool

import (
	"sync/atomic"
	"unsafe"
)

// slot holds at most one idle connection, for the goroutines whose stacks hash to it. It fills two cache lines, because
// processors fetch lines in pairs and neighbours must not wait for each other.
type slot[T any] struct {
	e atomic.Pointer[entry[T]]
	_ [120]byte
}

// home picks a slot by the address of the caller's stack: goroutines that run at the same time mostly have different ones, and
// it costs no system call and no link into the runtime.
func home(n int) int {
	var here byte
	h := uint64(uintptr(unsafe.Pointer(&here))>>11) * 0x9E3779B97F4A7C15
	return int((h >> 32) * uint64(n) >> 32)
}

// takeSlot takes an idle connection out of one of two slots. The caller owns what it returns.
func (p *Pool[T]) takeSlot() *entry[T] {
	n := len(p.slots)
	i := home(n)
	for range 2 {
		s := &p.slots[i]
		if s.e.Load() != nil {
			if e := s.e.Swap(nil); e != nil {
				return e
			}
		}
		if i++; i == n {
			i = 0
		}
	}
	return nil
}

// putSlot puts an idle connection into one of two slots, and gives up its ownership. False: both are taken.
func (p *Pool[T]) putSlot(e *entry[T]) (*slot[T], bool) {
	n := len(p.slots)
	i := home(n)
	for range 2 {
		s := &p.slots[i]
		if s.e.Load() == nil && s.e.CompareAndSwap(nil, e) {
			return s, true
		}
		if i++; i == n {
			i = 0
		}
	}
	return nil, false
}

// sweepSlotsLocked moves what lies in the slots into the idle list, so that the pool's bookkeeping sees one order of age.
func (p *Pool[T]) sweepSlotsLocked() {
	for i := range p.slots {
		if p.slots[i].e.Load() == nil {
			continue
		}
		if e := p.slots[i].e.Swap(nil); e != nil {
			p.insertLocked(e)
		}
	}
}

// takeIdleLocked takes the connection that was used last out of the store. The caller owns it.
func (p *Pool[T]) takeIdleLocked() *entry[T] {
	p.sweepSlotsLocked()
	e := p.idle.head
	if e != nil {
		p.idle.remove(e)
	}
	return e
}

// insertLocked puts e where its age belongs: the head was used last, the tail is idle for longest. Returned connections belong to
// the head and checked ones near the tail, so that the walk is short from one of the two ends.
func (p *Pool[T]) insertLocked(e *entry[T]) {
	at := e.stamp.Load()
	head, tail := p.idle.head, p.idle.tail
	if head == nil || at >= head.stamp.Load() {
		p.idle.insertAfter(e, nil)
		return
	}
	for tail != nil && tail.stamp.Load() < at {
		tail = tail.prev
	}
	p.idle.insertAfter(e, tail)
}

// unlink takes one given connection out of the store, if it rests there. True: the caller owns it now.
func (p *Pool[T]) unlinkLocked(e *entry[T]) bool {
	if e.listed {
		p.idle.remove(e)
		return true
	}
	for i := range p.slots {
		if p.slots[i].e.Load() == e && p.slots[i].e.CompareAndSwap(e, nil) {
			return true
		}
	}
	return false
}

// idleList is a doubly linked list through the entries. All of it is guarded by Pool.mu.
type idleList[T any] struct {
	head, tail *entry[T]
	n          int
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
