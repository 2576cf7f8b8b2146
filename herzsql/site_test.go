package herzsql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// site is an address with servers behind it. A connection stays with the server that it was made to.
type site struct {
	mu     sync.Mutex // guards next
	next   func() *backend
	dials  atomic.Int64
	asked  atomic.Int64
	pings  atomic.Int64
	silent atomic.Bool // the question is not answered
	clears atomic.Int64
}

// backend is one server.
type backend struct {
	name     string
	readonly atomic.Bool
	fussy    atomic.Bool // refuses writes though it is writable, as in a transaction that was begun as read-only
	mute     atomic.Bool // does not know the question
	fickle   atomic.Bool // each statement goes to another server
	writes   atomic.Int64
}

// errRefused is how servers of a site refuse to write.
var errRefused = errors.New("site: this server is read-only")

type siteDriver struct{}

func (siteDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("site: use the connector")
}

func init() {
	herzsql.Register(herzsql.Driver{
		Names: []string{"site"},
		Connector: func(string, guard.Options) (driver.Connector, error) {
			return nil, errors.New("site: use the connector")
		},
		Owns:      func(d driver.Driver) bool { _, ok := d.(siteDriver); return ok },
		WrongRole: func(err error) bool { return errors.Is(err, errRefused) },
		Identity: func(ctx context.Context, c any) (herzsql.Server, error) {
			return herzsql.AskServer(ctx, c, "who")
		},
	})
}

func always(b *backend) func() *backend { return func() *backend { return b } }

func newSite(next func() *backend) *site { return &site{next: next} }

// lead sends new connections elsewhere.
func (s *site) lead(next func() *backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = next
}

// Observe counts how often connections were given up for what their server is.
func (s *site) Observe(e pool.Event) {
	if e.Kind == pool.PoolCleared {
		s.clears.Add(1)
	}
}

func (s *site) Driver() driver.Driver { return siteDriver{} }

func (s *site) Connect(ctx context.Context) (driver.Conn, error) {
	s.dials.Add(1)
	near, far := net.Pipe()
	s.mu.Lock()
	to := s.next()
	s.mu.Unlock()
	return &siteConn{at: s, to: to, g: guard.WrapContext(ctx, near, guard.SQL), far: far}, nil
}

// open opens a database over the site in one of the modes.
func (s *site) open(t *testing.T, pooled bool, opts ...herzsql.Option) *sql.DB {
	t.Helper()
	open := herzsql.OpenConnector
	if pooled {
		open = herzsql.OpenPooledConnector
	}
	db, err := open(s, append([]herzsql.Option{herzsql.WithObserver(s)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// siteConn is a connection to one server of a site.
type siteConn struct {
	at  *site
	to  *backend
	g   *guard.Conn
	far net.Conn
}

func (c *siteConn) Begin() (driver.Tx, error) { return nil, errors.New("site: no transactions") }
func (c *siteConn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("site: no statements")
}

func (c *siteConn) Close() error { return errors.Join(c.g.Close(), c.far.Close()) }

func (c *siteConn) Ping(context.Context) error {
	c.at.pings.Add(1)
	return nil
}

func (c *siteConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	if c.to.readonly.Load() || c.to.fussy.Load() {
		return nil, fmt.Errorf("%s: %w", c.to.name, errRefused)
	}
	c.to.writes.Add(1)
	return driver.RowsAffected(1), nil
}

func (c *siteConn) QueryContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Rows, error) {
	n := c.at.asked.Add(1)
	if c.at.silent.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if c.to.mute.Load() {
		return nil, errors.New("site: what do you mean?")
	}
	name := c.to.name
	if c.to.fickle.Load() {
		name = fmt.Sprint(n)
	}
	return &whoRows{name: name, readonly: c.to.readonly.Load()}, nil
}

// whoRows is the answer to the question who the server is.
type whoRows struct {
	name     string
	readonly bool
	read     bool
}

func (r *whoRows) Columns() []string { return []string{"name", "readonly"} }
func (r *whoRows) Close() error      { return nil }

func (r *whoRows) Next(dest []driver.Value) error {
	if r.read {
		return io.EOF
	}
	r.read = true
	dest[0], dest[1] = []byte(r.name), r.readonly
	return nil
}

// closed counts the connections of a database that ended for a cause.
func closed(db *sql.DB, c conn.Cause) uint64 { return herzsql.Stats(db).Closed[c] }
