//go:build linux

package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herz.example/herz/guard"
	"herz.example/herz/herzpgx"
)

// poolClient is pgx's own pool.
type poolClient struct {
	pool    *pgxpool.Pool
	table   string
	sockets *hooked // nil: Herz's own
}

func stockPool(t target) (client, error) {
	s := newHooked(t, keepAlivePgx)
	return openPool(t, s, func(cfg *pgxpool.Config) {
		cfg.ConnConfig.DialFunc = s.DialContext
		if t.names != nil {
			cfg.ConnConfig.LookupFunc = t.names.LookupHost
		}
	})
}

func herzPool(t target) (client, error) {
	return openPool(t, nil, func(cfg *pgxpool.Config) {
		o := guard.SQL
		o.Resolver = t.names
		herzpgx.GuardPool(cfg, o)
	})
}

func openPool(t target, s *hooked, change func(*pgxpool.Config)) (client, error) {
	cfg, err := pgxpool.ParseConfig(t.dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = connections
	change(cfg)
	p, err := pgxpool.NewWithConfig(context.Background(), cfg) // it dials nothing yet, and lives until it is closed
	if err != nil {
		return nil, err
	}
	return &poolClient{pool: p, table: t.table, sockets: s}, nil
}

func (c *poolClient) fill(ctx context.Context, n int) error {
	held := make([]*pgxpool.Conn, 0, n)
	defer func() {
		for _, o := range held {
			o.Release()
		}
	}()
	for range n {
		o, err := c.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		held = append(held, o)
		if err := o.Ping(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *poolClient) write(ctx context.Context, id int, slow time.Duration) error {
	_, err := c.pool.Exec(ctx, postgreSQL.insert(c.table, id, slow))
	return err
}

func (c *poolClient) mark(ctx context.Context) (n int, err error) {
	err = c.pool.QueryRow(ctx, "SELECT n FROM mark").Scan(&n)
	return n, err
}

func (c *poolClient) rows(ctx context.Context, prepared bool) (int, error) {
	query, args := textRows, simplePgx
	if prepared {
		query, args = preparedRowsPg, []any{cutMark}
	}
	rows, err := c.pool.Query(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	n := 0
	_, err = pgx.ForEachRow(rows, []any{new(int), new(string)}, func() error { n++; return nil })
	return n, err
}

// close does not wait longer than a hanging call is given mercy: Close of pgxpool waits for connections that it believes in use.
func (c *poolClient) close() error {
	if c.sockets != nil {
		if err := c.sockets.hangUp(); err != nil {
			return err
		}
	}
	closed := make(chan struct{})
	go func() { defer close(closed); c.pool.Close() }()
	bound := time.NewTimer(2 * watched)
	defer bound.Stop()
	select {
	case <-closed:
		return nil
	case <-bound.C:
		return errors.New("pgxpool did not close")
	}
}
