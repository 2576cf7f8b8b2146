package relay

import (
	"container/heap"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// MostWaiting bounds the packets that wait in one direction.
const MostWaiting = 1 << 15

// largest is more than any packet of a TUN device.
const largest = 1 << 16

// flowsKept is how many flows may have their order remembered before those that have nothing under way are forgotten.
const flowsKept = 4096

// lane is one direction.
type lane struct {
	from io.Reader
	to   io.Writer
	wake chan struct{} // the queue's head changed, or the lane was closed; holds one

	// mu guards what follows. Nothing is written to an end under it, and nothing waited for.
	mu         sync.Mutex
	weather    Weather
	since      time.Time // when it was set
	lostUntil  time.Time
	stillUntil time.Time
	random     *rand.Rand
	queue      queue
	writing    bool               // packets that left the queue are being written
	due        map[flow]time.Time // when the last packet of a flow is to arrive
	arrivals   uint64
	stats      Stats
	closed     bool
}

func newLane(from io.Reader, to io.Writer, seed, stream uint64) *lane {
	return &lane{
		from: from, to: to, wake: make(chan struct{}, 1),
		random: rand.New(rand.NewPCG(seed, stream)), //nolint:gosec // faults are to be repeated, not to be secret
		due:    map[flow]time.Time{},
	}
}

// take reads packets until the end is closed.
func (l *lane) take() {
	buffer := make([]byte, largest)
	for {
		n, err := l.from.Read(buffer)
		if err != nil {
			l.mu.Lock()
			l.closeLocked()
			l.mu.Unlock()
			return
		}
		if l.judge(buffer[:n]) {
			_, _ = l.to.Write(buffer[:n]) // an end that takes no packet loses it, as a path does
		}
	}
}

// judge decides what happens to a packet: it says true when the packet is to be passed on at once, by the caller.
func (l *lane) judge(packet []byte) bool {
	key, ok := flowOf(packet)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok {
		l.stats.Foreign++
		return false
	}
	now := time.Now()
	if l.loses(now) {
		l.stats.Lost++
		return false
	}
	at := l.arrival(now, key)
	if !at.After(now) && len(l.queue) == 0 && !l.writing {
		l.stats.Carried++
		return true
	}
	if len(l.queue) >= MostWaiting {
		l.stats.Overflow++
		return false
	}
	l.arrivals++
	if !l.weather.Reorder {
		l.remember(key, at, now)
	}
	heap.Push(&l.queue, waiting{at: at, number: l.arrivals, packet: append([]byte(nil), packet...)})
	if l.queue[0].number == l.arrivals {
		l.nudge()
	}
	return false
}

// loses draws for every packet while there is Loss, so that what is drawn depends on the order of packets alone.
func (l *lane) loses(now time.Time) bool {
	unlucky := l.weather.Loss > 0 && l.random.Float64() < l.weather.Loss
	return unlucky || now.Before(l.lostUntil)
}

// arrival is when a packet of a flow is to be passed on.
func (l *lane) arrival(now time.Time, key flow) time.Time {
	at := now.Add(l.weather.Delay)
	if l.weather.Jitter > 0 {
		at = at.Add(time.Duration(l.random.Int64N(int64(l.weather.Jitter))))
	}
	if at.Before(l.stillUntil) {
		at = l.stillUntil
	}
	at = l.weather.thaw(at, l.since)
	if before, ok := l.due[key]; ok && !l.weather.Reorder && before.After(at) {
		return before
	}
	return at
}

func (l *lane) remember(key flow, at, now time.Time) {
	if len(l.due) > flowsKept {
		for k, t := range l.due {
			if t.Before(now) {
				delete(l.due, k)
			}
		}
	}
	l.due[key] = at
}

// give writes the packets that waited when their time has come.
func (l *lane) give() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		packets, pause, open := l.next()
		if !open {
			return
		}
		for _, p := range packets {
			_, _ = l.to.Write(p)
		}
		if len(packets) > 0 {
			continue
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-l.wake:
		}
	}
}

// next takes out what is due, or says how long nothing will be.
func (l *lane) next() (packets [][]byte, pause time.Duration, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for len(l.queue) > 0 && !l.queue[0].at.After(now) {
		first := heap.Pop(&l.queue).(waiting) //nolint:forcetypeassert // the queue holds nothing else
		l.stats.Late = max(l.stats.Late, now.Sub(first.at))
		packets = append(packets, first.packet)
	}
	l.writing = len(packets) > 0
	l.stats.Carried += uint64(len(packets))
	pause = time.Hour
	if len(l.queue) > 0 {
		pause = l.queue[0].at.Sub(now)
	}
	return packets, pause, !l.closed
}

func (l *lane) closeLocked() {
	l.closed = true
	l.nudge()
}

func (l *lane) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lane) count() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Waiting = len(l.queue)
	return s
}

// waiting is a packet that has been taken in and has not been passed on.
type waiting struct {
	at     time.Time
	number uint64 // of arrival
	packet []byte
}

// queue is a heap: the first that is due, and of those the first that came.
type queue []waiting

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].number < q[j].number
	}
	return q[i].at.Before(q[j].at)
}
func (q *queue) Push(x any) { *q = append(*q, x.(waiting)) } //nolint:forcetypeassert // heap.Push of lane only
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
