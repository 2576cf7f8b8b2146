//go:build linux

package soak_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/faultlab/server"
	"herz.example/herz/guard"
	_ "herz.example/herz/herzmysql"
	_ "herz.example/herz/herzpgx"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// callMost ends a call that hangs, which no soak has; the caller's context has no deadline that could be seen.
const callMost = 10 * time.Minute

var modes = []struct {
	name string
	open func(driverName, dsn string, opts ...herzsql.Option) (*sql.DB, error)
}{{"guarded", herzsql.Open}, {"pooled", herzsql.OpenPooled}}

// client is a database of Herz with workers that use it without end.
type client struct {
	soak, mode string
	kind       server.Kind
	db         *sql.DB
	view       *herzsql.View
	conns      int
	work       func(c *client, on speaker, n int) error // one call
	before     pool.Stats                               // when the soak began
	expected   []conn.Cause                             // for which connections may end
	stop       chan struct{}
	running    sync.WaitGroup

	// mu guards what follows. Nothing else happens under it.
	mu    sync.Mutex
	took  []time.Duration
	acked int
	errs  []error
	ended []string // connections that nobody expected to end
}

// Observe notes connections that end for another cause than expected, while they are known: the database keeps only the newest.
func (c *client) Observe(e pool.Event) {
	if e.Kind != pool.ConnectionClosed || e.Cause == conn.MaxLifetime {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ended) < 50 {
		c.ended = append(c.ended, fmt.Sprintf("%s by %v, %v", e.At.UTC().Format("15:04:05.000"), e.Cause, e.Death))
	}
}

// setting is how the databases of a soak are opened.
type setting struct {
	conns    int
	limits   pool.Limits
	guard    guard.Options
	expected []conn.Cause
}

// openClients opens the database of one server in both modes, with all connections open.
func openClients(t *testing.T, soak string, k server.Kind, dsn string, s setting) []*client {
	t.Helper()
	s.limits.MaxOpen = s.conns
	var all []*client
	for _, m := range modes {
		c := &client{soak: soak, mode: m.name, kind: k, conns: s.conns, expected: s.expected, stop: make(chan struct{}), work: (*client).mixed}
		db, err := m.open(k.Driver(), dsn, herzsql.WithName(soak+" "+k.String()+" "+m.name), herzsql.WithLimits(s.limits),
			herzsql.WithGuard(s.guard), herzsql.WithObserver(c))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		c.db, c.view = db, herzsql.Source(db)
		c.fill(t)
		c.before = c.view.Stats()
		all = append(all, c)
	}
	return all
}

// fill opens all connections while the path is good. A dial is not what is soaked: on a machine that starts many servers it may fail.
func (c *client) fill(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var held []*sql.Conn
	for len(held) < c.conns {
		one, err := c.db.Conn(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%s: open connection %d: %v", c.mode, len(held)+1, err)
		}
		if err == nil {
			held = append(held, one)
		}
	}
	for _, one := range held {
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// speaker is a database or a connection of one.
type speaker interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// borrow starts workers, each of which borrows a connection for every call, and rests between two calls.
func (c *client) borrow(workers int, rest time.Duration) {
	for range workers {
		c.running.Go(func() {
			for n := 0; ; n++ {
				if !c.call(c.db, n, rest) {
					return
				}
			}
		})
	}
}

// loan is how many calls a worker makes on a connection before it gives it back.
const loan = 20

// keep starts a worker for each connection, which gives it back only to borrow one again at once, so that none ever rests in the pool: one that
// rested for a second is pinged before it is lent, and a ping that takes longer than it may is no false alarm. It returns when all have their
// connections; the first calls are made when begin is closed.
func (c *client) keep(t *testing.T, rest time.Duration, begin <-chan struct{}) {
	t.Helper()
	atWork := make(chan error, c.conns)
	for range c.conns {
		c.running.Go(func() {
			for n := 0; ; {
				ctx, cancel := bounded()
				on, err := c.db.Conn(ctx)
				cancel()
				if n == 0 {
					atWork <- err
					<-begin
				}
				if err != nil {
					c.note(0, fmt.Errorf("borrow: %w", err))
					return
				}
				going := true
				for range loan {
					if going = c.call(on, n, rest); !going {
						break
					}
					n++
				}
				if err := on.Close(); err != nil {
					c.note(0, fmt.Errorf("give back: %w", err))
				}
				if !going {
					return
				}
			}
		})
	}
	for range c.conns {
		if err := <-atWork; err != nil {
			t.Errorf("%s: %v", c.mode, err)
		}
	}
}

// call makes one call and rests. It is false at the end of the soak.
func (c *client) call(on speaker, n int, rest time.Duration) bool {
	began := time.Now()
	err := c.work(c, on, n)
	c.note(time.Since(began), err)
	pause := time.NewTimer(rest)
	defer pause.Stop()
	select {
	case <-c.stop:
		return false
	case <-pause.C:
		return true
	}
}

func (c *client) note(took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took = append(c.took, took)
	if err != nil {
		c.errs = append(c.errs, err)
	}
}

// mixed is a write, and now and then a read whose answer has many packets.
func (c *client) mixed(on speaker, n int) error {
	if n%4 != 3 {
		return c.write(on, "1")
	}
	const size = 30000
	ctx, cancel := bounded()
	defer cancel()
	var got string
	if err := on.QueryRowContext(ctx, fmt.Sprintf("SELECT REPEAT('x', %d)", size)).Scan(&got); err != nil {
		return err
	}
	if len(got) != size {
		return fmt.Errorf("the answer has %d bytes, want %d", len(got), size)
	}
	return nil
}

// write adds a row with the number of its session, so that sessions can be counted on the server.
func (c *client) write(on speaker, size string, args ...any) error {
	session := map[server.Kind]string{server.MariaDB: "CONNECTION_ID()", server.PostgreSQL: "pg_backend_pid()"}[c.kind]
	ctx, cancel := bounded()
	defer cancel()
	_, err := on.ExecContext(ctx, "INSERT INTO soak (mode, session, size) VALUES ('"+c.mode+"', "+session+", "+size+")", args...)
	if err == nil {
		c.mu.Lock()
		c.acked++
		c.mu.Unlock()
	}
	return err
}

// bounded is a context without a deadline that ends all the same.
func bounded() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	late := time.AfterFunc(callMost, cancel)
	return ctx, func() { late.Stop(); cancel() }
}

// finish waits for the last calls and counts.
func (c *client) finish(t *testing.T, seconds float64, path string, stood *stalls, servers ...*server.Server) row {
	t.Helper()
	close(c.stop)
	c.running.Wait()
	s := c.view.Stats()
	slices.Sort(c.took)
	r := row{
		Soak: c.soak, Product: c.kind.String(), Mode: c.mode, Seconds: seconds, Connections: c.conns,
		Calls: len(c.took), Errors: len(c.errs), P50: at(c.took, 0.5), P99: at(c.took, 0.99), Longest: at(c.took, 1),
		Acked: c.acked, Dials: s.Dials - c.before.Dials, Generations: s.Generation - c.before.Generation, Path: path, StoodStill: stood.ms(),
	}
	if len(c.errs) > 0 {
		r.FirstError = c.errs[0].Error()
	}
	var ended []string
	for _, cause := range slices.Sorted(maps.Keys(s.Closed)) {
		n := s.Closed[cause] - c.before.Closed[cause]
		if n == 0 {
			continue
		}
		ended = append(ended, fmt.Sprintf("%v:%d", cause, n))
		if !slices.Contains(c.expected, cause) {
			r.FalseAlarms += int(n) //nolint:gosec // few
		}
	}
	r.Ended = strings.Join(ended, ",")
	if r.Ended == "" {
		r.Ended = "none"
	}
	for _, on := range servers {
		r.Found += count(t, on, "SELECT COUNT(*) FROM soak WHERE mode = '"+c.mode+"'")
		r.Sessions += count(t, on, "SELECT COUNT(DISTINCT session) FROM soak WHERE mode = '"+c.mode+"'")
	}
	return r
}

// judge says what is wrong. Where connections end as planned there are more sessions than connections.
func (c *client) judge(t *testing.T, r row, planned bool) {
	t.Helper()
	what := r.Soak + ", " + r.Product + ", " + r.Mode
	r.Good = r.Errors == 0 && r.FalseAlarms == 0 && r.Generations == 0 && r.Acked == r.Found && r.Acked > 0 && (planned || r.Sessions == r.Connections)
	results.add(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.ended {
		t.Logf("%s: ended: %s", what, d)
	}
	if r.Good {
		return
	}
	t.Errorf("%s: %d of %d calls failed (%s), %d connections ended wrongly (%s), %d generations; the server has %d of %d acknowledged writes from %d sessions of %d connections",
		what, r.Errors, r.Calls, r.FirstError, r.FalseAlarms, r.Ended, r.Generations, r.Found, r.Acked, r.Sessions, r.Connections)
	for _, err := range c.errs[:min(len(c.errs), 20)] {
		t.Logf("%s: error: %v", what, err)
	}
}

// count asks the server past everything that is bad.
func count(t *testing.T, s *server.Server, query string) int {
	t.Helper()
	var n int
	operate(t, s, func(ctx context.Context, db *sql.DB) error { return db.QueryRowContext(ctx, query).Scan(&n) })
	return n
}

func do(t *testing.T, s *server.Server, statement string) {
	t.Helper()
	operate(t, s, func(ctx context.Context, db *sql.DB) error { _, err := db.ExecContext(ctx, statement); return err })
}

func operate(t *testing.T, s *server.Server, f func(ctx context.Context, db *sql.DB) error) {
	t.Helper()
	db, err := sql.Open(s.Kind.Driver(), s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := f(ctx, db); err != nil {
		t.Fatalf("%v: %v", s.Kind, err)
	}
}
