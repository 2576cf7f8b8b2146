package board

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"herz.example/herz/ceiling"
	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// DefaultPrefix is the path under which a board stands when Config.Prefix is empty.
const DefaultPrefix = "/debug/herz/"

// Source is one pool on the wall. [pool.Pool] is one, and so is what herzsql.Source gives. Its methods are called about once a
// second while someone watches, from any goroutine, and must not block. One that also has Unasked() []conn.Unasked, as what herzsql.Source gives,
// is shown with the places in the program that read results which were cut short, and did not look.
type Source interface {
	Name() string
	Stats() pool.Stats
	Snapshot() []pool.ConnInfo
	Deaths() []conn.Death
	Limits() pool.Limits
}

// Config says what a board shows and to whom. The zero value works. No field may change after New.
type Config struct {
	// Prefix is the path under which the handler is mounted. Empty: DefaultPrefix. A missing slash at either end is added.
	Prefix string
	// Sources are shown from the start, in this order; see also [Board.Add].
	Sources []Source
	// Authorize decides about each request; an error refuses it with 403 and is not shown to the caller. Nil: callers
	// on the loopback interface that use a loopback name are served, and nobody else. When it is set it decides alone.
	Authorize func(*http.Request) error
	// Every is the time between two events. 0: 1 second. Less than 100 milliseconds counts as that.
	Every time.Duration
	// MaxWatchers is the greatest number of event streams at the same time; one more is refused with 503. 0: 32.
	MaxWatchers int
	// MaxConns is the greatest number of connections listed for one source; the others are counted as left out. 0: 10,000.
	MaxConns int
	// Profiles is where net/http/pprof stands on this server, for the links on the page, which are shown only where something answers there.
	// Empty: /debug/pprof/.
	Profiles string

	// Learner tells the board after how long idle connections are closed by somebody else. It has to be an observer of the pools, too. Nil: the board does not
	// show that.
	Learner *ceiling.Learner

	// Token lets callers who bear it act on the sources that are a [Controller], and see the board from other machines where Authorize is
	// nil. It is made by [NewToken]. Zero: nobody.
	Token Token
	// AuthorizeAction decides about each action in place of Token, which is not looked at then: who acts, for the record, or an error, which
	// refuses it with 403 and is not shown to the caller. It is asked after Authorize, on requests that no foreign page can have
	// sent. Nil: Token decides. Without both, nothing on the board changes anything.
	AuthorizeAction func(r *http.Request, a Action) (who string, err error)
	// Logger takes a line for each action, at INFO for one that was done and at WARN for others; of the refused ones at most ten a
	// second. Nil: slog.Default, as it is in New.
	Logger *slog.Logger
	// MaxAudit is how many actions the board remembers, and as many refused ones beside them. 0: 128.
	MaxAudit int
}

func (c Config) withDefaults() Config {
	c.Prefix = "/" + strings.Trim(c.Prefix, "/") + "/"
	if c.Prefix == "//" {
		c.Prefix = DefaultPrefix
	}
	if c.Every == 0 {
		c.Every = time.Second
	}
	c.Every = max(c.Every, 100*time.Millisecond)
	if c.MaxWatchers <= 0 {
		c.MaxWatchers = 32
	}
	if c.MaxConns <= 0 {
		c.MaxConns = 10_000
	}
	if c.Profiles == "" {
		c.Profiles = "/debug/pprof/"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.MaxAudit <= 0 {
		c.MaxAudit = 128
	}
	return c
}

// Board is an http.Handler that shows pools. It is made by New and needs no closing: it has a goroutine only while a
// request for events is being served.
type Board struct {
	cfg       Config
	born      time.Time
	hub       hub
	shutdowns shutdowns
	audit     audit
	journal   journal
	timings   timings
	leaks     leaks
	looks     looks

	// mu guards shown and added. No source is called under it.
	mu    sync.RWMutex
	shown []*entry
	added uint64 // sources so far
}

// entry gives every addition an identity of its own, so that one source may be added twice and removed once.
type entry struct {
	id   uint64 // from 1, in the order of addition
	src  Source
	busy atomic.Pointer[Verb] // the action that is under way
}

// New makes a board.
func New(cfg Config) *Board {
	b := &Board{cfg: cfg.withDefaults(), born: time.Now()}
	b.hub = hub{every: b.cfg.Every, limit: b.cfg.MaxWatchers, collect: b.snapshot}
	b.audit = audit{log: b.cfg.Logger, limit: b.cfg.MaxAudit}
	for _, s := range cfg.Sources {
		b.Add(s)
	}
	return b
}

// Add shows one more source, below the others. Remove takes it off again; it may be called more than once. A nil source is
// ignored.
func (b *Board) Add(s Source) (remove func()) {
	if s == nil {
		return func() {}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.added++
	e := &entry{id: b.added, src: s}
	b.shown = append(b.shown, e)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.shown = slices.DeleteFunc(b.shown, func(x *entry) bool { return x == e })
	}
}

// entries are the sources that are shown now.
func (b *Board) entries() []*entry {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Clone(b.shown)
}
