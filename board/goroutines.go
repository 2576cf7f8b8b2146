package board

import (
	"bytes"
	"cmp"
	"maps"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"herz.example/herz/guard"
)

const (
	looksEvery  = time.Second // between two looks at all goroutines, which stop the program for a moment
	stacksMost  = 32 << 20    // bytes of stacks that are read; the rest is left out and said so
	groupsShown = 200         // of goroutines that do the same at the same place
)

// looks keeps the newest look at all goroutines, so that impatient readers do not stop the program again and again.
type looks struct {
	// mu guards taken and last, and is held during a look: who comes meanwhile gets the same.
	mu    sync.Mutex
	taken time.Time
	last  goroutinesJSON
}

func (b *Board) serveGoroutines(w http.ResponseWriter) {
	l := &b.looks
	l.mu.Lock()
	if l.taken.IsZero() || time.Since(l.taken) > looksEvery {
		l.last, l.taken = b.look(), time.Now()
	}
	last := l.last
	l.mu.Unlock()
	writeJSON(w, http.StatusOK, last)
}

// look reads the stacks of all goroutines and says which of them work for which pool.
func (b *Board) look() goroutinesJSON {
	j := goroutinesJSON{Schema: schemaVersion, Now: time.Now().UTC().Format(time.RFC3339Nano), Groups: []goroutineGroupJSON{}, Profiles: b.cfg.Profiles}
	owners := b.owners()
	buf := make([]byte, 1<<20)
	n := runtime.Stack(buf, true)
	for n == len(buf) && n < stacksMost {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	j.LeftOut = n == stacksMost
	maps.Copy(owners, b.owners()) // some came just before the stacks were read
	counts := map[goroutineGroupJSON]int{}
	for record := range bytes.SplitSeq(buf[:n], []byte("\n\n")) {
		j.Total++
		if g, mine := groupOf(string(record), owners); mine {
			counts[g]++
		}
	}
	for g, n := range counts {
		g.Count = n
		j.Groups = append(j.Groups, g)
	}
	slices.SortFunc(j.Groups, func(x, y goroutineGroupJSON) int {
		return cmp.Or(cmp.Compare(x.Pool, y.Pool), cmp.Compare(y.Count, x.Count), cmp.Compare(x.Doing, y.Doing), cmp.Compare(x.Site, y.Site))
	})
	j.GroupsLeftOut = max(0, len(j.Groups)-groupsShown)
	j.Groups = j.Groups[:len(j.Groups)-j.GroupsLeftOut]
	return j
}

// owners gives the names of pools by the addresses of what works for them.
func (b *Board) owners() map[uint64]string {
	owners := map[uint64]string{}
	for _, e := range b.entries() {
		if s, ok := e.src.(interface{ StackMarks() []uintptr }); ok {
			for _, at := range s.StackMarks() {
				owners[uint64(at)] = e.src.Name()
			}
		}
	}
	for _, g := range guard.Live() {
		if name := g.Info().Pool; name != "" {
			owners[uint64(reflect.ValueOf(g).Pointer())] = name
		}
	}
	return owners
}

// tells are the functions that say what a goroutine does for a pool, and are called with something that says for which.
var tells = []struct{ function, doing string }{
	{"herz/pool.(*Pool[...]).await", "waits for a connection"},
	{"herz/pool.(*Pool[...]).runCheck", "pings or resets a connection"},
	{"herz/pool.(*Pool[...]).closer", "closes a connection"},
	{"herz/pool.(*Pool[...]).dial", "dials"},
	{"herz/guard.(*Conn).Read", "reads from a connection"},
	{"herz/guard.(*Conn).Write", "writes to a connection"},
	{"database/sql.(*DB).conn", "waits for a connection, or has one dialled"},
}

// groupOf says what one goroutine does, and from which place in the program; false: nothing for a pool.
func groupOf(stack string, owners map[uint64]string) (g goroutineGroupJSON, mine bool) {
	header, rest, _ := strings.Cut(stack, "\n")
	if _, state, ok := strings.Cut(header, "["); ok {
		g.State, _, _ = strings.Cut(strings.TrimSuffix(state, "]:"), ",")
	}
	lines := strings.Split(rest, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		function, args := cutCall(lines[i])
		if doing, ok := tell(function); ok {
			if !mine {
				g.Doing, mine = doing, true
			}
			if g.Pool == "" {
				g.Pool = ownerOf(args, owners)
			}
		} else if mine && !inside(function) {
			g.Site = function + " " + place(lines[i+1])
			break
		}
	}
	return g, mine
}

// ownerOf finds the pool whose mark a function was called with. What the runtime is not sure of has a question mark.
func ownerOf(args string, owners map[uint64]string) string {
	for _, word := range strings.FieldsFunc(args, func(r rune) bool { return strings.ContainsRune("{}, ?", r) }) {
		if at, err := strconv.ParseUint(strings.TrimPrefix(word, "0x"), 16, 64); err == nil && owners[at] != "" {
			return owners[at]
		}
	}
	return ""
}

func tell(function string) (string, bool) {
	for _, t := range tells {
		if strings.HasSuffix(function, t.function) {
			return t.doing, true
		}
	}
	return "", false
}

// cutCall takes "pkg.(*T[...]).f(0x1, 0x2)" apart.
func cutCall(line string) (function, args string) {
	line = strings.TrimPrefix(line, "created by ")
	at := strings.LastIndex(line, "(")
	if at < 0 {
		return line, ""
	}
	return line[:at], strings.TrimSuffix(line[at+1:], ")")
}

// inside reports whether a function belongs to Herz or the standard library, where no user would look.
func inside(function string) bool {
	return strings.Contains(function, "herz.example/herz/") && !strings.Contains(function, "_test.") && !strings.Contains(function, ".example/herz/cmd/") ||
		!strings.Contains(strings.SplitN(function, "/", 2)[0], ".") && strings.Contains(function, "/") || // database/sql, net/http, encoding/json
		strings.HasPrefix(function, "runtime.") || strings.HasPrefix(function, "context.") || strings.HasPrefix(function, "sync.") ||
		strings.HasPrefix(function, "net.") || strings.HasPrefix(function, "io.") || strings.HasPrefix(function, "bufio.")
}

// place is "file.go:12" of the second line of a frame.
func place(line string) string {
	line = strings.TrimSpace(line)
	line, _, _ = strings.Cut(line, " +")
	return line[strings.LastIndexByte(line, '/')+1:]
}
