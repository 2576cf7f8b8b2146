package guard

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"weak"

	"herz.example/herz/conn"
	"herz.example/herz/internal/sys"
)

// Who ended the use of a Conn. Only CompareAndSwap from stateOpen moves it, so that there is one winner.
const (
	stateOpen    uint32 = iota
	stateClosed         // its owner closed it
	stateAborted        // Abort ended it; the owner's Close has not come yet
)

// Conn is a guarded connection. It is a net.Conn; what a library should be given is its Surface. Make it by Wrap or a Dialer.
type Conn struct {
	id      uint64
	inner   net.Conn
	opt     Options
	raw     syscall.RawConn // nil: no descriptor to ask
	socket  net.Conn        // what has the descriptor: inner, or what lies under it
	kind    sys.Kind
	pollFD  func(uintptr) // kept, so that a probe allocates nothing
	surface net.Conn
	self    weak.Pointer[Conn]
	seat    seat // in the registries
	cleanup runtime.Cleanup
	born    int64
	local   string
	peer    string
	holds   bool // a share of the watcher, to be given back
	noSweep bool // made inside a synctest bubble

	watched   atomic.Bool // in the watcher's set
	state     atomic.Uint32
	death     atomic.Pointer[conn.Death]
	onDeath   atomic.Pointer[func(conn.Death)]
	condemned atomic.Uint32          // a conn.Cause
	condemner atomic.Pointer[string] // what was said with it
	retired   atomic.Bool            // its owner says goodbye
	pool      atomic.Pointer[string]
	owner     atomic.Pointer[any]     // its pool's own record of it
	name      atomic.Pointer[nameKey] // by which it was dialled
	takenErr  atomic.Uint32           // an errno that a peek took from the socket and that the next read must give

	// The exchange. Every field is written before the bytes leave and corrected after, so that a quick answer on another
	// goroutine is not lost.
	begun    atomic.Bool  // Begin was called at least once
	sent     atomic.Int64 // bytes since Begin
	pending  atomic.Int64 // bytes that left since the newest byte was received
	waiting  atomic.Int64 // clock of the first of them; 0: none
	burst    atomic.Int64 // clock of the first write after a pause
	lastIO   atomic.Int64 // clock of the newest byte in either direction
	lastIn   atomic.Int64 // clock of the newest byte that was received; 0: none was
	inIO     atomic.Int32 // reads and writes in progress
	timedOut atomic.Bool  // a deadline cut the exchange short
	tls      atomic.Bool  // the bytes are TLS records
	sniffed  atomic.Int32 // writes looked at for a TLS handshake
	shaking  atomic.Bool  // the newest write was a ClientHello
	enlisted atomic.Bool  // on the sweep's list

	wroteShut, readShut, hardClose atomic.Bool

	// probeMu guards pollBits and lastInfo. Only a system call that cannot block happens under it.
	probeMu  sync.Mutex
	pollBits sys.Ready
	lastInfo int64

	sweepSlot int // place in the sweep's list; guarded by sweeper.mu

	// Clocks that only the sweep uses.
	probesSince  int64 // first unanswered window probe
	unackedSince int64 // first look at data in flight without an acknowledgement
	unackedAck   int64 // the newest acknowledgement at that time

	// armMu guards armed, capped and before, and the socket's keep-alive setting. Only setsockopt happens under it.
	armMu  sync.Mutex
	armed  bool
	capped bool
	before sys.KeepAlive
}

// Wrap guards nc. It never fails: what cannot be seen on this connection is missing from its Capabilities, and options that
// cannot work (see Options.Check) are moved to the nearest that can. A connection that is guarded already is
// returned as it is. The caller must use the guard, or its Surface, in place of nc from now on, and close it.
func Wrap(nc net.Conn, o Options) *Conn {
	if g, ok := nc.(interface{ guarded() *Conn }); ok {
		return g.guarded()
	}
	c := &Conn{
		id:    lastID.Add(1),
		inner: nc,
		opt:   o.nearest(),
		born:  now(),
		local: addrString(nc.LocalAddr()),
		peer:  addrString(nc.RemoteAddr()),
	}
	c.noSweep = inBubble()
	c.lastIO.Store(c.born)
	c.self = weak.Make(c)
	c.findSocket()
	c.surface = newSurface(c)
	c.holds = holdWatcher(c)
	c.seat = takeSeat(c.id, place{c.local, c.peer})
	c.cleanup = runtime.AddCleanup(c, forget, forgotten{c.self, c.seat, c.holds})
	c.seat.show(c.self) // from here on others see c: nothing below may write a plain field
	c.watch()
	if o.ListenKeepAlive {
		c.listen()
	}
	return c
}

// forgotten is what is left to undo when a Conn was collected without Close.
type forgotten struct {
	self  weak.Pointer[Conn]
	seat  seat
	holds bool
}

func forget(f forgotten) {
	f.seat.leave(f.self)
	names.forget(f.self)
	if f.holds {
		releaseWatcher()
	}
}

// findSocket looks for the descriptor under the connection and what can be asked of it.
func (c *Conn) findSocket() {
	for nc := c.inner; nc != nil; {
		if _, ok := nc.(tlsState); ok {
			c.tls.Store(true)
		}
		if s, ok := nc.(syscall.Conn); ok {
			raw, err := s.SyscallConn()
			if err != nil {
				return
			}
			if err = raw.Control(func(fd uintptr) { c.kind = sys.KindOf(fd) }); err != nil || !c.kind.Stream {
				c.kind = sys.Kind{}
				return
			}
			c.raw, c.socket = raw, nc
			c.pollFD = func(fd uintptr) { c.pollBits = sys.Poll(fd) }
			return
		}
		w, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return
		}
		nc = w.NetConn()
	}
}

// From finds the guard of nc: nc itself, or what lies under a *tls.Conn or any wrapper with a method NetConn() net.Conn.
func From(nc net.Conn) (*Conn, bool) {
	if c, ok := nc.(*Conn); ok { // quicker than to look whether it has the method
		return c, c != nil
	}
	for depth := 0; nc != nil && depth < 16; depth++ {
		if g, ok := nc.(interface{ guarded() *Conn }); ok {
			return g.guarded(), true
		}
		w, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nil, false
		}
		nc = w.NetConn()
	}
	return nil, false
}

func (c *Conn) guarded() *Conn { return c }

func addrString(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// ID is unique in this process and never used again.
func (c *Conn) ID() uint64 { return c.id }

// Inner is the connection that is guarded. Bytes that go through it directly are not counted.
func (c *Conn) Inner() net.Conn { return c.inner }

// SetPool gives the connection the name of its pool, for Death.Pool and errors.
func (c *Conn) SetPool(name string) { c.pool.Store(&name) }

// SetOwner keeps a pool's own record of the connection, so that a hook that is given nothing but the connection need not look it up. Herz gives it
// no meaning. It may be set again at any time; nil forgets it.
func (c *Conn) SetOwner(record any) { c.owner.Store(&record) }

// Owner is what SetOwner was given last, or nil.
func (c *Conn) Owner() any {
	if record := c.owner.Load(); record != nil {
		return *record
	}
	return nil
}

// LocalAddr is that of the guarded connection.
func (c *Conn) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr is that of the guarded connection.
func (c *Conn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// SetDeadline is that of the guarded connection.
func (c *Conn) SetDeadline(t time.Time) error { return c.inner.SetDeadline(t) }

// SetReadDeadline is that of the guarded connection.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.inner.SetReadDeadline(t) }

// SetWriteDeadline is that of the guarded connection.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.inner.SetWriteDeadline(t) }

// Capabilities are what is seen on one connection, on this system.
type Capabilities struct {
	Watcher   bool // a FIN or RST sets the death flag within microseconds
	Poll      bool // Alive, and the first write after silence, ask the kernel
	TCPInfo   bool // half-closed connections and the cause of a reset are told apart
	Sweep     bool // a black hole ends the exchange that waits in it within HeartbeatTimeout
	KeepAlive bool // ListenKeepAlive works
	HalfClose bool // Shutdown can close the sending side first
	TLS       bool // the bytes were seen to be TLS, so that Answered is never claimed
}

// Capabilities tells what is seen on this connection. TLS can become true while the connection is in use.
func (c *Conn) Capabilities() Capabilities {
	_, half := c.inner.(interface{ CloseWrite() error })
	return Capabilities{
		Watcher:   c.watched.Load(),
		Poll:      c.raw != nil,
		TCPInfo:   c.kind.TCP,
		Sweep:     c.kind.TCP && !c.noSweep,
		KeepAlive: c.kind.TCP,
		HalfClose: half,
		TLS:       c.tls.Load(),
	}
}
