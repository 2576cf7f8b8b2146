//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"

	"herz.example/herz/guard"
	_ "herz.example/herz/herzmysql" // guarded
	_ "herz.example/herz/herzpgx"   // guarded
	_ "herz.example/herz/herzpq"    // guarded
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// sqlClient is a database of database/sql.
type sqlClient struct {
	db      *sql.DB
	product product
	table   string
	sockets *hooked // nil: Herz's own
	simple  []any   // arguments that make a query without arguments one exchange
}

// keeping is set on every database that Herz did not open: as many idle connections as open ones, as the other modes have.
func keeping(db *sql.DB, p product, t target, s *hooked) *sqlClient {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return &sqlClient{db: db, product: p, table: t.table, sockets: s}
}

func stockMySQL(t target) (client, error) {
	cfg, err := mysql.ParseDSN(t.dsn)
	if err != nil {
		return nil, err
	}
	s := newHooked(t, 0)
	cfg.DialFunc = s.DialContext
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return keeping(sql.OpenDB(c), mariaDB, t, s), nil
}

// keepAlivePgx is what pgx dials with (pgconn, makeDefaultDialer).
const keepAlivePgx = 5 * time.Minute

func stockPgx(t target) (client, error) {
	cfg, err := pgx.ParseConfig(t.dsn)
	if err != nil {
		return nil, err
	}
	s := newHooked(t, keepAlivePgx)
	cfg.DialFunc = s.DialContext
	if t.names != nil {
		cfg.LookupFunc = t.names.LookupHost
	}
	c := keeping(stdlib.OpenDB(*cfg), postgreSQL, t, s)
	c.simple = simplePgx
	return c, nil
}

var simplePgx = []any{pgx.QueryExecModeSimpleProtocol}

func stockPQ(t target) (client, error) {
	c, err := pq.NewConnector(t.dsn)
	if err != nil {
		return nil, err
	}
	s := newHooked(t, 0)
	c.Dialer(s)
	return keeping(sql.OpenDB(c), postgreSQL, t, s), nil
}

func herzSQL(p product, driver, mode string) func(t target) (client, error) {
	return func(t target) (client, error) { return openHerz(p, driver, mode, t) }
}

func openHerz(p product, driver, mode string, t target) (client, error) {
	open := herzsql.Open
	if mode == pooled {
		open = herzsql.OpenPooled
	}
	o := guard.SQL
	o.Resolver = t.names
	db, err := open(driver, t.dsn, herzsql.WithName(t.table), herzsql.WithGuard(o), herzsql.WithLimits(pool.Limits{MaxOpen: connections}))
	if err != nil {
		return nil, err
	}
	c := &sqlClient{db: db, product: p, table: t.table}
	if driver == "pgx" {
		c.simple = simplePgx
	}
	return c, nil
}

func (c *sqlClient) fill(ctx context.Context, n int) error {
	held := make([]*sql.Conn, 0, n)
	var errs []error
	for range n {
		o, err := c.db.Conn(ctx)
		if err != nil {
			errs = append(errs, err)
			break
		}
		held = append(held, o)
		var one int
		errs = append(errs, o.QueryRowContext(ctx, "SELECT 1").Scan(&one))
	}
	for _, o := range held {
		errs = append(errs, o.Close())
	}
	return errors.Join(errs...)
}

func (c *sqlClient) write(ctx context.Context, id int, slow time.Duration) error {
	_, err := c.db.ExecContext(ctx, c.product.insert(c.table, id, slow))
	return err
}

func (c *sqlClient) mark(ctx context.Context) (n int, err error) {
	err = c.db.QueryRowContext(ctx, "SELECT n FROM mark").Scan(&n)
	return n, err
}

// The result that is cut, in two ways. pgx prepares a query even when it has no arguments, unless it is told not to.
const (
	textRows       = "SELECT id, v FROM wide /* " + cutMark + " */ ORDER BY id"
	preparedRowsMy = "SELECT id, v FROM wide WHERE ? <> '' ORDER BY id"
	preparedRowsPg = "SELECT id, v FROM wide WHERE $1::text <> '' ORDER BY id"
)

func (c *sqlClient) rows(ctx context.Context, prepared bool) (n int, err error) {
	query, args := textRows, c.simple
	switch {
	case prepared && c.product == mariaDB:
		query, args = preparedRowsMy, []any{cutMark}
	case prepared:
		query, args = preparedRowsPg, []any{cutMark}
	}
	rows, err := c.db.QueryContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id int
		var v string
		if err := rows.Scan(&id, &v); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}

func (c *sqlClient) close() error {
	if c.sockets == nil {
		return c.db.Close()
	}
	err := c.sockets.hangUp()
	_ = c.db.Close() // its sockets are gone already
	return err
}
