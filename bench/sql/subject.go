package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"herz.example/herz/faultlab/server"
	_ "herz.example/herz/herzmysql"
	_ "herz.example/herz/herzpgx"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

const (
	plainName   = "plain"
	againName   = "plain-again" // the A/A row: what differs between it and plain is noise
	guardedName = "guarded"
	pooledName  = "pooled"
	pgxpoolName = "OpenDBFromPool" // pgx's own *sql.DB over its own pool
)

// subject is an open database under measurement.
type subject struct {
	name  string
	db    *sql.DB
	stmt  *sql.Stmt // the prepared query; nil: there is no prepared row of this subject
	close func() error
	took  [][]float64 // for each goroutine room for its latencies, kept from window to window
}

// subjects opens every way to a server. Each has ten connections and keeps them, and is otherwise as its users get it.
func subjects(ctx context.Context, k server.Kind, dsn string) ([]*subject, error) {
	ways := []way{
		{plainName, openPlain},
		{againName, openPlain},
		{guardedName, openHerz(herzsql.Open)},
		{pooledName, openHerz(herzsql.OpenPooled)},
		{floorName, openFloor},
	}
	if k == server.PostgreSQL {
		ways = append(ways, way{pgxpoolName, openPgxpool})
	}
	var list []*subject
	for _, w := range ways {
		db, end, err := w.open(ctx, k.Driver(), dsn)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open %s to %v: %w", w.name, k, err), closeAll(list))
		}
		s := &subject{name: w.name, db: db, close: end}
		list = append(list, s)
		if s.stmt, err = db.PrepareContext(ctx, queryOf(k)); err != nil {
			return nil, errors.Join(fmt.Errorf("prepare on %s to %v: %w", w.name, k, err), closeAll(list))
		}
	}
	return list, nil
}

type way struct {
	name string
	open func(ctx context.Context, driver, dsn string) (*sql.DB, func() error, error)
}

func openPlain(_ context.Context, driver, dsn string) (*sql.DB, func() error, error) {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections) // the default of 2 would close and dial all day
	return db, db.Close, nil
}

func openHerz(open func(driver, dsn string, o ...herzsql.Option) (*sql.DB, error)) func(context.Context, string, string) (*sql.DB, func() error, error) {
	return func(_ context.Context, driver, dsn string) (*sql.DB, func() error, error) {
		db, err := open(driver, dsn, herzsql.WithLimits(pool.Limits{MaxOpen: connections}))
		if err != nil {
			return nil, nil, err
		}
		return db, db.Close, nil
	}
}

func openPgxpool(ctx context.Context, _, dsn string) (*sql.DB, func() error, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, nil, err
	}
	cfg.MaxConns = connections
	p, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	db := stdlib.OpenDBFromPool(p)
	return db, func() error { err := db.Close(); p.Close(); return err }, nil
}

func closeAll(list []*subject) error {
	var all error
	for _, s := range list {
		if s.stmt != nil {
			all = errors.Join(all, s.stmt.Close())
		}
		all = errors.Join(all, s.close())
	}
	return all
}

// takesPart reports whether a subject has a window in a round of a row.
func (s *subject) takesPart(r row, round int, p plan) bool {
	switch s.name {
	case pgxpoolName:
		return r.Prepared && round%p.rare == 0
	case floorName:
		return round%p.rare == 0
	default:
		return true
	}
}
