package herzconfig_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
)

// backend is a database in memory that counts what it is asked.
type backend struct {
	dials, pings, execs atomic.Int64
	open                atomic.Int64 // connections
	deaf                atomic.Bool  // dials hang
	mute                atomic.Bool  // pings and queries hang
	stuck               atomic.Bool  // closes hang, until freed
	slow                atomic.Int64 // how long a statement takes
	guard               atomic.Pointer[guard.Options]
	freed               chan struct{}

	mu      sync.Mutex // guards queries
	queries []string
}

func (b *backend) asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.queries...)
}

// backends are those of all tests, by the address in their data source name.
var backends sync.Map

// newBackend gives a backend and the data source name that leads to it.
func newBackend(t *testing.T) (*backend, string) {
	b := &backend{freed: make(chan struct{})}
	dsn := "memory:" + strings.ReplaceAll(t.Name(), " ", "_") + fmt.Sprintf("%p", b)
	backends.Store(dsn, b)
	t.Cleanup(func() { backends.Delete(dsn) })
	return b, dsn
}

func init() {
	herzsql.Register(herzsql.Driver{
		Names: []string{"memory"},
		Connector: func(dsn string, o guard.Options) (driver.Connector, error) {
			address, _, _ := strings.Cut(dsn, "?")
			b, ok := backends.Load(address)
			if !ok {
				return nil, fmt.Errorf("memory: cannot parse %q", dsn)
			}
			b.(*backend).guard.Store(&o)
			return b.(*backend).connector(o), nil
		},
	})
}

// memory is the name of the driver, for parsers.
var memory = []string{"memory"}

type memoryDriver struct{}

func (memoryDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("memory: use the connector")
}

type connector struct {
	b *backend
	o guard.Options
}

func (b *backend) connector(o guard.Options) driver.Connector { return connector{b, o} }

func (c connector) Driver() driver.Driver { return memoryDriver{} }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	c.b.dials.Add(1)
	if c.b.deaf.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c.b.open.Add(1)
	near, far := net.Pipe()
	return &memoryConn{b: c.b, g: guard.WrapContext(ctx, near, c.o), far: far}, nil
}

type memoryConn struct {
	b   *backend
	g   *guard.Conn
	far net.Conn
}

func (c *memoryConn) Begin() (driver.Tx, error) { return nil, errors.New("memory: no transactions") }

func (c *memoryConn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("memory: no statements")
}

func (c *memoryConn) Close() error {
	if c.b.stuck.Load() {
		<-c.b.freed
	}
	c.b.open.Add(-1)
	return errors.Join(c.g.Close(), c.far.Close())
}

func (c *memoryConn) Ping(ctx context.Context) error {
	c.b.pings.Add(1)
	return c.answer(ctx)
}

func (c *memoryConn) answer(ctx context.Context) error {
	if c.b.mute.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if c.g.Dead() {
		return driver.ErrBadConn
	}
	return nil
}

func (c *memoryConn) ExecContext(ctx context.Context, _ string, _ []driver.NamedValue) (driver.Result, error) {
	if err := c.answer(ctx); err != nil {
		return nil, err
	}
	if d := time.Duration(c.b.slow.Load()); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.b.execs.Add(1)
	return driver.RowsAffected(1), nil
}

func (c *memoryConn) QueryContext(ctx context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	c.b.mu.Lock()
	c.b.queries = append(c.b.queries, query)
	c.b.mu.Unlock()
	if err := c.answer(ctx); err != nil {
		return nil, err
	}
	return &oneRow{}, nil
}

type oneRow struct{ read bool }

func (r *oneRow) Columns() []string { return []string{"1"} }
func (r *oneRow) Close() error      { return nil }
func (r *oneRow) Next(dest []driver.Value) error {
	if r.read {
		return io.EOF
	}
	r.read = true
	dest[0] = int64(1)
	return nil
}
