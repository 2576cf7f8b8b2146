package herzsql_test

import (
	"bufio"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"runtime"
	"sync/atomic"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
)

// errInvalid is how the fake driver hides a failed read, as go-sql-driver/mysql does.
var errInvalid = errors.New("fake: invalid connection")

// errWrong is a complete answer that says no.
var errWrong = errors.New("fake: wrong statement")

type fakeDriver struct{}

// honestDriver calls a connection bad only where nothing was executed, as go-sql-driver/mysql does.
type honestDriver struct{ fakeDriver }

func (fakeDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("fake: use the connector")
}

func init() {
	herzsql.Register(herzsql.Driver{
		Names: []string{"fake"},
		Connector: func(dsn string, o guard.Options) (driver.Connector, error) {
			if dsn == "" {
				return nil, errors.New("fake: no address")
			}
			return newConnector(dsn, &guard.Dialer{Options: o}), nil
		},
		Socket: func(c any) net.Conn {
			if o, ok := c.(*own); ok {
				return o.nc
			}
			return nil
		},
		Owns:  func(d driver.Driver) bool { _, ok := d.(fakeDriver); return ok },
		Hides: func(err error) bool { return errors.Is(err, errInvalid) },
	})
	herzsql.Register(herzsql.Driver{
		Names: []string{"honest"},
		Connector: func(dsn string, o guard.Options) (driver.Connector, error) {
			c := newConnector(dsn, &guard.Dialer{Options: o})
			c.honest = true
			return c, nil
		},
		Owns:          func(d driver.Driver) bool { _, ok := d.(honestDriver); return ok },
		BadConnProves: true,
	})
}

// connector makes connections with every optional interface, or with none.
type connector struct {
	addr   string
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	plain  bool // only what database/sql/driver.Conn asks
	legacy bool // the interfaces from before contexts as well
	typed  bool // rows know their types
	column bool // statements convert arguments column by column
	eager  bool // calls every failed read a bad connection, as lib/pq does
	sticky bool // keeps its socket when a context ends, as careless drivers do
	tardy  bool // pings are answered when their socket has been given up
	resets *atomic.Int64
	reset  error // what ResetSession says of a living connection
	honest bool  // its driver is honestDriver
}

func newConnector(addr string, d *guard.Dialer) *connector {
	return &connector{addr: addr, dial: d.DialContext, resets: new(atomic.Int64)}
}

func (c *connector) Driver() driver.Driver {
	if c.honest {
		return honestDriver{}
	}
	return fakeDriver{}
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	nc, err := c.dial(ctx, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	b := &base{c: c, nc: nc, in: bufio.NewReader(nc)}
	switch {
	case c.legacy:
		return &legacy{b}, nil
	case c.plain:
		return b, nil
	}
	return &full{b}, nil
}

// base has no optional interface.
type base struct {
	c      *connector
	nc     net.Conn
	in     *bufio.Reader
	closed bool
}

// ask sends a line and reads one.
func (b *base) ask(ctx context.Context, line string) (string, error) {
	if b.closed {
		return "", driver.ErrBadConn
	}
	if n, err := io.WriteString(b.nc, line+"\n"); err != nil {
		b.end()
		if n == 0 {
			return "", driver.ErrBadConn
		}
		return "", err
	}
	return b.read(ctx)
}

func (b *base) read(ctx context.Context) (string, error) {
	type result struct {
		line string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		line, err := b.in.ReadString('\n')
		got <- result{line, err}
	}()
	select {
	case r := <-got:
		switch {
		case r.err != nil:
			b.end()
			if b.c.eager {
				return "", driver.ErrBadConn
			}
			return "", errInvalid
		case r.line == "wrong\n":
			return "", errWrong
		case r.line == "readonly\n": // a complete answer after which the driver asks for another connection
			b.end()
			return "", driver.ErrBadConn
		}
		return r.line, nil
	case <-ctx.Done():
		if !b.c.sticky {
			b.end()
			<-got
		}
		return "", ctx.Err()
	}
}

func (b *base) end() {
	b.closed = true
	_ = b.nc.Close()
}

func (b *base) Close() error { b.end(); return nil }

func (b *base) Begin() (driver.Tx, error) {
	if _, err := b.ask(context.Background(), "begin"); err != nil {
		return nil, err
	}
	return &tx{b}, nil
}

func (b *base) Prepare(query string) (driver.Stmt, error) {
	if _, err := b.ask(context.Background(), "prepare "+query); err != nil {
		return nil, err
	}
	if b.c.column {
		return &columnStmt{stmt{b, query}}, nil
	}
	return &stmt{b, query}, nil
}

// legacy has the interfaces from before contexts.
type legacy struct{ *base }

func (l *legacy) Exec(q string, args []driver.Value) (driver.Result, error) {
	_, err := l.ask(context.Background(), "exec "+q+fmt.Sprint(args))
	return driver.RowsAffected(1), err
}

func (l *legacy) Query(q string, args []driver.Value) (driver.Rows, error) {
	return l.query(context.Background(), q+fmt.Sprint(args))
}

// columnStmt converts each argument by the column it is for.
type columnStmt struct{ stmt }

func (s *columnStmt) ColumnConverter(i int) driver.ValueConverter { return columnConverter(i) }

type columnConverter int

func (c columnConverter) ConvertValue(v any) (driver.Value, error) {
	return fmt.Sprint("column", int(c), ":", v), nil
}

type tx struct{ b *base }

func (t *tx) Commit() error   { _, err := t.b.ask(context.Background(), "commit"); return err }
func (t *tx) Rollback() error { _, err := t.b.ask(context.Background(), "rollback"); return err }

// stmt has no optional interface.
type stmt struct {
	b     *base
	query string
}

func (s *stmt) Close() error {
	if !s.b.closed {
		_, _ = io.WriteString(s.b.nc, "unprepare "+s.query+"\n")
	}
	return nil
}
func (s *stmt) NumInput() int { return -1 }
func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	_, err := s.b.ask(context.Background(), "exec "+s.query+fmt.Sprint(args))
	return driver.RowsAffected(1), err
}

func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.b.query(context.Background(), s.query+fmt.Sprint(args))
}

func (b *base) query(ctx context.Context, q string) (driver.Rows, error) {
	first, err := b.ask(ctx, "query "+q)
	if err != nil {
		return nil, err
	}
	if first == "head\n" {
		first = ""
	}
	if b.c.typed {
		return &rows{bareRows{b: b, next: first}}, nil
	}
	return &bareRows{b: b, next: first}, nil
}

// bareRows has no optional interface, rows has all.
type bareRows struct {
	b    *base
	next string
}

type rows struct{ bareRows }

func (r *rows) HasNextResultSet() bool                     { return r.b.c.typed }
func (r *rows) NextResultSet() error                       { return errors.New("fake: no next result") }
func (r *rows) ColumnTypeScanType(int) reflect.Type        { return reflect.TypeFor[int]() }
func (r *rows) ColumnTypeDatabaseTypeName(int) string      { return "NUMBER" }
func (r *rows) ColumnTypeLength(int) (int64, bool)         { return 7, true }
func (r *rows) ColumnTypeNullable(int) (nullable, ok bool) { return true, true }
func (r *rows) ColumnTypePrecisionScale(int) (precision, scale int64, ok bool) {
	return 5, 2, true
}

func (r *bareRows) Columns() []string { return []string{"n"} }
func (r *bareRows) Close() error {
	for r.next != "end\n" && !r.b.closed {
		if err := r.Next(make([]driver.Value, 1)); err != nil {
			return nil
		}
	}
	return nil
}

func (r *bareRows) Next(dest []driver.Value) (err error) {
	if r.next == "" {
		if r.next, err = r.b.read(context.Background()); err != nil {
			return err
		}
	}
	if r.next == "end\n" {
		return io.EOF
	}
	dest[0] = r.next[:len(r.next)-1]
	r.next = ""
	return nil
}

// full has every optional interface of database/sql/driver.
type full struct{ *base }

func (f *full) Ping(ctx context.Context) error {
	if g, ok := guard.From(f.nc); ok && f.c.tardy {
		for !g.Dead() && ctx.Err() == nil {
			runtime.Gosched()
		}
		return nil
	}
	_, err := f.ask(ctx, "ping")
	return err
}

func (f *full) ResetSession(context.Context) error {
	f.c.resets.Add(1)
	if f.closed {
		return driver.ErrBadConn
	}
	return f.c.reset
}
func (f *full) IsValid() bool { return !f.closed }
func (f *full) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	_, err := f.ask(ctx, "exec "+q+fmt.Sprint(args))
	return driver.RowsAffected(1), err
}

func (f *full) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	return f.query(ctx, q+fmt.Sprint(args))
}

func (f *full) PrepareContext(ctx context.Context, q string) (driver.Stmt, error) {
	if _, err := f.ask(ctx, "prepare "+q); err != nil {
		return nil, err
	}
	if f.c.column {
		return &columnStmt{stmt{f.base, q}}, nil
	}
	return &stmt{f.base, q}, nil
}

func (f *full) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	if _, err := f.ask(ctx, "begin"); err != nil {
		return nil, err
	}
	return &tx{f.base}, nil
}

func (f *full) CheckNamedValue(v *driver.NamedValue) error {
	v.Value = fmt.Sprint("checked:", v.Value)
	return nil
}
