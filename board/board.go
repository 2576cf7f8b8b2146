package board

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// DefaultPrefix is the path under which a board stands when Config.Prefix is empty.
const DefaultPrefix = "/debug/herz/"

// Source is one pool on the wall. [pool.Pool] is one, and so is what herzsql.Source gives. Its methods are called about once a
// second while someone watches, from any goroutine, and must not block.
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
	// MaxConns is the greatest number of connections listed for one source; the others are counted as left out. 0: 2,000.
	MaxConns int
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
		c.MaxConns = 2000
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

	// mu guards shown. No source is called under it.
	mu    sync.RWMutex
	shown []*entry
}

// entry gives every addition an identity of its own, so that one source may be added twice and removed once.
type entry struct{ src Source }

// New makes a board.
func New(cfg Config) *Board {
	b := &Board{cfg: cfg.withDefaults(), born: time.Now()}
	b.hub = hub{every: b.cfg.Every, limit: b.cfg.MaxWatchers, collect: b.encoded}
	for _, s := range cfg.Sources {
		if s != nil {
			b.shown = append(b.shown, &entry{s})
		}
	}
	return b
}

// Add shows one more source, below the others. Remove takes it off again; it may be called more than once. A nil source is
// ignored.
func (b *Board) Add(s Source) (remove func()) {
	if s == nil {
		return func() {}
	}
	e := &entry{s}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shown = append(b.shown, e)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.shown = slices.DeleteFunc(b.shown, func(x *entry) bool { return x == e })
	}
}

func (b *Board) sources() []Source {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]Source, len(b.shown))
	for i, e := range b.shown {
		all[i] = e.src
	}
	return all
}
