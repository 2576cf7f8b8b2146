package pool

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"herz.example/herz/conn"
)

// DefaultPool is the name of a pool that was given none.
const DefaultPool = "DefaultPool"

// phase is how far a pool's life has come.
type phase uint8

const (
	open     phase = iota // it lends
	draining              // it lends no more and waits for its users
	closed                // it is closed
)

// shut is added to Pool.gate for good when the pool stops lending, and while a condition other than a waiter closes the fast path.
const shut = 1 << 32

// Pool lends connections of type T. It is made by [New] and must be closed.
type Pool[T any] struct {
	coarse

	cfg    Config[T]
	shared bool // Config.Shares is set: one connection takes several leases
	told   bool // an observer wants the events of loans
	swift  bool // nothing but an observer stands between a loan and the short way
	calls  LoanObserver
	plain  bool // nobody wants them, there is no reset, and one lease a connection: the short ways out and back are open

	rules   atomic.Pointer[rules] // limits and generation in force; replaced whole, under mu
	gate    atomic.Int64          // 1 while callers are in line, plus shut for each other reason against the fast path; 0 opens it
	tracing atomic.Bool           // every lease keeps its holder's stack
	slots   []slot[T]
	hints   [hints]atomic.Uint32 // the slot in which a group of goroutines looks first

	misuses  atomic.Uint64
	waitTime atomic.Int64
	waited   [len(waitBounds) + 1]atomic.Uint64 // see Stats.WaitCounts
	beats    atomic.Uint64
	missed   atomic.Uint64

	life context.Context //nolint:containedctx // ends with the pool: the parent of dials, pings and resets, which belong to it and not to a caller
	end  context.CancelFunc
	done chan struct{} // closed when the maintenance goroutine has ended

	// mu guards everything below, the links of the entries and the line of waiters. No function of Config and no observer is
	// called under it; the guard's loads are.
	mu     sync.Mutex
	phase  phase
	idle   idleList[T]
	queue  queue[T]
	spares spares[T]
	all    []*entry[T]
	books  books
	// backends has what is known of each remote address with open connections; only with Config.Identity.
	backends map[string]*backend

	ticket   uint64 // of the newest waiter
	places   int    // connections that hold a place: being dialled or open, and not closing
	dialing  int
	checking int // checks under way
	fresh    int // shared mode: how many leases a new connection is likely to take; 0: not known
	lending  int // idle connections in the hands of a pump, which will lend them in a moment
	closers  int // closes under way
	toClose  []*entry[T]
	warm     int           // WarmUp's target; 0 when nobody warms up
	changed  chan struct{} // closed when a dial or close ends; nil when nobody waits for that
	backoff  backoff
	debt     float64 // replacements that wait for Limits.ReconnectPerSecond, as of debtAt
	debtAt   int64
	doubt    bool  // the newest check failed: do not count on the others
	excess   bool  // places is greater than MaxOpen, and the gate is shut for it
	nextPass int64 // when the maintenance goroutine looks at all connections next
	passedAt int64 // when it may do so at the earliest, after the look before
	asleep   int64 // until when it sleeps, with the clock stopped; 0 while it ticks
	nextTrim int64
	looks    uint64 // of the maintenance goroutine, for tests
	traced   int64  // until when every holder's stack is kept
	seen     *glance
}

// books are the sums over connections and callers that are gone.
type books struct {
	leases      uint64 // of connections that are gone
	waits       uint64
	timeouts    uint64
	cancels     uint64
	refused     uint64
	deadLent    uint64
	dials       uint64
	dialErrors  uint64
	lastDialErr error
	closed      [32]uint64
	deaths      [deathsKept]conn.Death
	deathsTotal uint64
}

// rules are limits as the pool reads them, with the generation they hold for. They never change once published.
type rules struct {
	Limits
	generation uint64
	outdated   conn.Cause // why connections of older generations go
	probeAfter int64      // silence after which the kernel is asked
	pingAfter  int64      // silence after which the peer is asked; never without Config.Ping
	everyLoan  bool       // the peer is asked before every loan
	idleMost   int64      // idle time after which no connection is lent; never where a band of them is kept however old
	maxUses    uint64
}

// ids numbers the connections of all pools of the process.
var ids atomic.Uint64

// New makes a pool and starts its maintenance goroutine. It dials MinIdle connections in the background; see [Pool.WarmUp] to wait
// for them. Errors: Dial is missing, or the limits contradict each other.
func New[T any](cfg Config[T]) (*Pool[T], error) {
	if cfg.Dial == nil {
		return nil, errors.New("herz/pool: new: Config.Dial is missing; it makes the connections")
	}
	limits, err := cfg.Limits.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Name == "" {
		cfg.Name = DefaultPool
	}
	p := &Pool[T]{
		cfg: cfg, shared: cfg.Shares != nil, swift: cfg.Reset == nil && cfg.Shares == nil,
		slots:  make([]slot[T], min(runtime.GOMAXPROCS(0), 64)),
		coarse: coarse{epoch: time.Now(), kick: make(chan struct{}, 1)}, done: make(chan struct{}), backends: map[string]*backend{},
	}
	for i := range p.hints {
		p.hints[i].Store(uint32(i % len(p.slots))) //nolint:gosec // there are at most 64 slots
	}
	p.life, p.end = context.WithCancel(context.Background())
	p.rules.Store(p.rulesOf(limits, 1, conn.Generation))
	p.cfg.Observer = Bind(cfg.Observer, p)
	p.told, p.calls = wantsLoans(p.cfg.Observer), loansOf(p.cfg.Observer)
	p.plain = p.swift && !p.told && p.calls == nil
	p.tracing.Store(limits.LeakAfter > 0)
	p.emit(Event{Kind: PoolCreated})
	p.emit(Event{Kind: PoolReady})
	go p.maintain()
	p.mu.Lock()
	p.growLocked()
	p.mu.Unlock()
	return p, nil
}

// rulesOf makes the rules for limits that were checked.
func (p *Pool[T]) rulesOf(l Limits, generation uint64, outdated conn.Cause) *rules {
	r := &rules{Limits: l, generation: generation, outdated: outdated, probeAfter: int64(probeAfter), pingAfter: never, maxUses: uint64(never)}
	if p.cfg.Ping != nil && l.PingAfter > 0 {
		// The coarse clock is up to a tick late: a connection that was quiet for PingAfter must not look younger.
		r.pingAfter = max(int64(l.PingAfter-tick), 1)
	}
	if p.cfg.Ping != nil && l.TestOnBorrow {
		r.pingAfter = 0
		if r.everyLoan = !p.shared; r.everyLoan { // the other users of a shared connection are the proof of life
			r.pingAfter = always
		}
	}
	r.idleMost = never
	if l.MaxIdleTime > 0 && r.warmest() == 0 {
		r.idleMost = int64(l.MaxIdleTime)
	}
	r.probeAfter = min(r.probeAfter, r.pingAfter, r.idleMost)
	if l.MaxUses > 0 {
		r.maxUses = uint64(l.MaxUses)
	}
	return r
}

// probeAfter is the silence after which the kernel is asked before a connection is lent. The guard asks again, by an exact clock,
// before the first byte is written.
const probeAfter = 20 * time.Millisecond

// Name is the pool's name.
func (p *Pool[T]) Name() string { return p.cfg.Name }

// Protocol is [Config].Protocol.
func (p *Pool[T]) Protocol() string { return p.cfg.Protocol }

// emit tells the observer. It must not be called with mu held.
func (p *Pool[T]) emit(e Event) {
	if p.cfg.Observer == nil {
		return
	}
	e.Pool = p.cfg.Name
	e.At = time.Now()
	p.cfg.Observer.Observe(e)
}

// noteLocked wakes those who wait for a dial or a close to end.
func (p *Pool[T]) noteLocked() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// changeLocked gives a channel that is closed at the next end of a dial or a close.
func (p *Pool[T]) changeLocked() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

const poolPackage = "herz.example/herz/pool."

func itoa(n int) string { return strconv.Itoa(n) }
