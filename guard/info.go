package guard

import (
	"slices"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/internal/sys"
)

// Info is what is known of one guarded connection at one moment, for a person who looks.
type Info struct {
	ID      uint64
	Pool    string        // as SetPool said; empty when no pool has it
	Local   string        // address of our end
	Peer    string        // address of the other end
	Name    string        // host name that it was dialled by, as long as that is watched
	Age     time.Duration // since it was made
	Idle    time.Duration // since its newest byte in either direction
	Waiting time.Duration // since the oldest byte that is unanswered; 0 when none is
	Cause   conn.Cause    // why it is dead or condemned; None when it is neither
	Dead    bool
}

// LastByte is when the newest byte was sent or received (where there was none, when the connection was made), and whether bytes that were sent wait for
// an answer. It is what a pool asks at each return, and looks at no clock.
func (c *Conn) LastByte() (at time.Time, waiting bool) {
	return started.Add(time.Duration(c.lastIO.Load())), c.waiting.Load() != 0
}

// LastReceived is when the newest byte was received; the zero time where none was. Unlike what Begin starts, it is never forgotten. It looks at no clock.
func (c *Conn) LastReceived() time.Time {
	at := c.lastIn.Load()
	if at == 0 {
		return time.Time{}
	}
	return started.Add(time.Duration(at))
}

// Info tells what is known now. It asks the kernel nothing.
func (c *Conn) Info() Info {
	at := now()
	i := Info{
		ID: c.id, Local: c.local, Peer: c.peer, Name: c.Name(), Dead: c.Dead(),
		Age: time.Duration(at - c.born), Idle: max(0, time.Duration(at-c.lastIO.Load())),
	}
	if name := c.pool.Load(); name != nil {
		i.Pool = *name
	}
	if since := c.waiting.Load(); since != 0 && !i.Dead {
		i.Waiting = max(0, time.Duration(at-since))
	}
	if d, ok := c.Death(); ok {
		i.Cause = d.Cause
	} else if cause, ok := c.Condemned(); ok {
		i.Cause = cause
	}
	return i
}

// drifted reports whether the kernel says that the connection is over, or that its sending side is closed, and nobody has noticed. That is truth beside
// belief, for a metric; it changes nothing. It is false where the kernel cannot be asked, and for a connection that has ended or is being closed.
func (c *Conn) drifted() bool {
	if c.Dead() || c.state.Load() != stateOpen || c.retired.Load() || c.wroteShut.Load() || c.readShut.Load() {
		return false
	}
	info, ok := c.info()
	return ok && info.State != sys.Established && !c.Dead() && c.state.Load() == stateOpen
}

// settleTime is how long a guard has to hear of what the kernel knows already. Its watcher needs microseconds.
const settleTime = 2 * time.Millisecond

// CountDrifted is how many of the connections the kernel takes for over, or for closed on our side, while their guards do not, and go on not to for 2 ms. It
// changes all, which it may shorten.
func CountDrifted(all []*Conn) int {
	all = slices.DeleteFunc(all, func(c *Conn) bool { return !c.drifted() })
	if len(all) == 0 {
		return 0
	}
	time.Sleep(settleTime)
	return len(slices.DeleteFunc(all, func(c *Conn) bool { return !c.drifted() }))
}
