package herzsql

import (
	"cmp"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// cuts counts the results that were cut short while their rows were read, and whose error nobody looked at.
type cuts struct {
	pool string
	log  *pool.Log // nil: nothing is logged

	// mu guards what follows. Nothing is called under it.
	mu    sync.Mutex
	sites map[string]*conn.Unasked
}

// sitesKept bounds the places that are remembered; the one that was quiet for longest is forgotten first.
const sitesKept = 32

// follow waits for the end of an error that the reader of rows is about to get.
func (c *cuts) follow(e *guard.AmbiguousError) {
	site, reading := reader()
	if !reading {
		return
	}
	death := e.Death
	e.IfUnseen(func() { c.unseen(site, death) })
}

func (c *cuts) unseen(site string, d conn.Death) {
	now := time.Now()
	d.Pool = c.pool
	c.mu.Lock()
	if c.sites == nil {
		c.sites = map[string]*conn.Unasked{}
	}
	at := c.sites[site]
	if at == nil {
		if len(c.sites) >= sitesKept {
			delete(c.sites, c.oldestLocked())
		}
		at = &conn.Unasked{Site: site}
		c.sites[site] = at
	}
	at.Count++
	at.Last, at.Death = now, d
	told := *at
	c.mu.Unlock()
	if c.log != nil {
		c.log.Unasked(told)
	}
}

func (c *cuts) oldestLocked() string {
	oldest := ""
	for site, at := range c.sites {
		if oldest == "" || at.Last.Before(c.sites[oldest].Last) {
			oldest = site
		}
	}
	return oldest
}

// list gives all places, the newest first.
func (c *cuts) list() []conn.Unasked {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]conn.Unasked, 0, len(c.sites))
	for _, at := range c.sites {
		out = append(out, *at)
	}
	slices.SortFunc(out, func(a, b conn.Unasked) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Site, b.Site)) })
	return out
}

// Names of database/sql's functions as the runtime knows them.
const (
	ofDatabaseSQL = "database/sql."
	nextRow       = "database/sql.(*Rows).Next" // and NextResultSet
	scanOneRow    = "database/sql.(*Row)."
)

// reader finds who reads rows on this goroutine. Not reading: nobody does, or by QueryRow, whose Scan returns the error itself.
func reader() (site string, reading bool) {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	first := ""
	for {
		f, more := frames.Next()
		switch {
		case strings.HasPrefix(f.Function, nextRow):
			reading = true
		case strings.HasPrefix(f.Function, scanOneRow):
			return "", false
		case reading && strings.HasPrefix(f.Function, ofDatabaseSQL):
		case reading && f.Function != "":
			name := fmt.Sprintf("%s (%s:%d)", f.Function, filepath.Base(f.File), f.Line)
			if first == "" {
				first = name
			}
			if !strings.Contains(f.File, "@") { // not in a module that was downloaded, such as an ORM
				return name, true
			}
		}
		if !more {
			return first, first != ""
		}
	}
}
