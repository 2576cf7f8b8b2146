//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"herz.example/herz/faultlab/server"
)

// product is a kind of server.
type product uint8

const (
	mariaDB product = iota
	postgreSQL
	redisServer
)

var (
	products    = []product{mariaDB, postgreSQL, redisServer}
	sqlProducts = []product{mariaDB, postgreSQL}
)

func (p product) String() string { return p.kind().String() }

func (p product) kind() server.Kind {
	return map[product]server.Kind{mariaDB: server.MariaDB, postgreSQL: server.PostgreSQL, redisServer: server.Redis}[p]
}

// insert is the statement that adds a row. It has no arguments, so that it is one exchange: with them a driver prepares it first, and
// an answer that is swallowed would be that of the preparation.
func (p product) insert(table string, id int, slow time.Duration) string {
	switch {
	case slow == 0:
		return fmt.Sprintf("INSERT INTO %s VALUES (%d)", table, id)
	case p == mariaDB:
		return fmt.Sprintf("INSERT INTO %s SELECT IF(SLEEP(%g), -1, %d)", table, slow.Seconds(), id)
	default:
		return fmt.Sprintf("INSERT INTO %s SELECT %d FROM pg_sleep(%g)", table, id, slow.Seconds())
	}
}

// operator looks at a server from outside of what is tried.
type operator interface {
	// prepare makes what the application works with; mark is the number that tells the server from others.
	prepare(ctx context.Context, mark int, tables []string) error
	// applied counts the rows of a table.
	applied(ctx context.Context, table string) (map[int]int, error)
	// busy counts the writes of the application that the server works on.
	busy(ctx context.Context) (int, error)
	// sessions counts the application's connections.
	sessions(ctx context.Context) (int, error)
	close() error
}

func (p product) operator(s *server.Server) (operator, error) {
	if p == redisServer {
		return redisOperator{s.Addr()}, nil
	}
	db, err := sql.Open(s.Kind.Driver(), s.DSN())
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(-1) // it keeps no connection into which a fault could fall
	return sqlOperator{db, p}, nil
}

type sqlOperator struct {
	*sql.DB

	product product
}

func (o sqlOperator) close() error { return o.Close() }

func (o sqlOperator) prepare(ctx context.Context, mark int, tables []string) error {
	statements := []string{
		"CREATE TABLE mark (n INT)", fmt.Sprintf("INSERT INTO mark VALUES (%d)", mark),
		"CREATE TABLE wide (id INT, v VARCHAR(10))",
	}
	for i := range wideRows {
		statements = append(statements, fmt.Sprintf("INSERT INTO wide VALUES (%d, 'row %d')", i, i))
	}
	for _, t := range tables {
		statements = append(statements, fmt.Sprintf("CREATE TABLE %s (id INT)", t))
	}
	for _, s := range statements {
		if _, err := o.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (o sqlOperator) applied(ctx context.Context, table string) (map[int]int, error) {
	rows, err := o.QueryContext(ctx, "SELECT id, COUNT(*) FROM "+table+" GROUP BY id") //nolint:gosec // our own table
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	applied := map[int]int{}
	for rows.Next() {
		var id, n int
		if err := rows.Scan(&id, &n); err != nil {
			return nil, err
		}
		applied[id] = n
	}
	return applied, rows.Err()
}

func (o sqlOperator) busy(ctx context.Context) (int, error) {
	if o.product == mariaDB {
		return o.number(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'client' AND info LIKE 'INSERT%'")
	}
	return o.number(ctx, "SELECT COUNT(*) FROM pg_stat_activity WHERE usename = 'client' AND state = 'active' AND query LIKE 'INSERT%'")
}

func (o sqlOperator) sessions(ctx context.Context) (int, error) {
	if o.product == mariaDB {
		return o.number(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'client'")
	}
	return o.number(ctx, "SELECT COUNT(*) FROM pg_stat_activity WHERE usename = 'client'")
}

func (o sqlOperator) number(ctx context.Context, query string) (n int, err error) {
	err = o.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}

// redisOperator dials for each question.
type redisOperator struct{ addr string }

func (o redisOperator) ask(question func(c *redis.Client) error) error {
	c := redis.NewClient(&redis.Options{Addr: o.addr, PoolSize: 1})
	return errors.Join(question(c), c.Close())
}

func (o redisOperator) close() error { return nil }

func (o redisOperator) prepare(ctx context.Context, mark int, _ []string) error {
	return o.ask(func(c *redis.Client) error {
		var errs []error
		for i := range wideRows {
			errs = append(errs, c.RPush(ctx, cutMark, fmt.Sprintf("row %d", i)).Err())
		}
		return errors.Join(append(errs, c.Set(ctx, "mark", mark, 0).Err())...)
	})
}

func (o redisOperator) applied(ctx context.Context, table string) (map[int]int, error) {
	applied := map[int]int{}
	return applied, o.ask(func(c *redis.Client) error {
		all, err := c.LRange(ctx, table, 0, -1).Result()
		for _, v := range all {
			id, wrong := strconv.Atoi(v)
			err = errors.Join(err, wrong)
			applied[id]++
		}
		return err
	})
}

// busy is never more than nothing: Redis has done a command before it takes the next.
func (o redisOperator) busy(context.Context) (int, error) { return 0, nil }

// sessions counts all but the operator's own.
func (o redisOperator) sessions(ctx context.Context) (n int, err error) {
	err = o.ask(func(c *redis.Client) error {
		list, err := c.ClientList(ctx).Result()
		n = strings.Count(list, "\n") - 1
		return err
	})
	return n, err
}
