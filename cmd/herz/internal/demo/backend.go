package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"herz.example/herz/cmd/herz/internal/demo/client"
	"herz.example/herz/cmd/herz/internal/demo/server"
)

// backend is a server that clients ask through a proxy, and that is asked here past it what it has executed.
type backend interface {
	Addr() string
	// Counts gives how often each of the requests was executed.
	Counts(ctx context.Context, requests []string) (map[string]int, error)
	// Forget frees what is kept of requests.
	Forget(ctx context.Context, requests []string) error
	Close() error
}

// setupMax bounds the preparation of a real server, and each question to it.
const setupMax = 5 * time.Second

// InputError is a mistake of the caller: what to change is in its text.
type InputError struct{ Text string }

// Error gives the text.
func (e *InputError) Error() string { return e.Text }

func inputError(format string, args ...any) error {
	return &InputError{Text: fmt.Sprintf(format, args...)}
}

// openMySQL gives the server of dsn, or an embedded one, and how clients open it.
func openMySQL(ctx context.Context, dsn, run string, values map[string]string) (backend, *mysql.Config, client.Tables, error) {
	if dsn == "" {
		m, err := server.StartMySQL(values)
		if err != nil {
			return nil, nil, client.Tables{}, err
		}
		cfg, err := mysql.ParseDSN(m.DSN())
		if err != nil {
			return nil, nil, client.Tables{}, errors.Join(err, m.Close())
		}
		return m, quiet(cfg), client.Tables{Values: server.Values, Added: server.Added}, nil
	}
	cfg, err := ParseMySQL(dsn)
	if err != nil {
		return nil, nil, client.Tables{}, err
	}
	r, err := openRealMySQL(ctx, quiet(cfg), run, values)
	if err != nil {
		return nil, nil, client.Tables{}, inputError("the MySQL server at %s cannot be used: %v; check --mysql, or leave it out for the embedded one",
			cfg.Addr, err)
	}
	return r, cfg, r.tables, nil
}

const dsnShape = "user:password@tcp(127.0.0.1:3306)/database"

// ParseMySQL reads a data source name of go-sql-driver/mysql.
func ParseMySQL(dsn string) (*mysql.Config, error) {
	cfg, err := mysql.ParseDSN(dsn)
	switch {
	case err != nil:
		return nil, inputError("--mysql is not a data source name: %v; write it as %s", err, dsnShape)
	case cfg.Net != "tcp":
		return nil, inputError("--mysql uses the network %q, and the fault proxy stands only before TCP; write it as %s", cfg.Net, dsnShape)
	case cfg.DBName == "":
		return nil, inputError("--mysql names no database, and the demo needs one for its tables; write it as %s", dsnShape)
	}
	return cfg, nil
}

// quiet keeps the driver from writing each lost connection to the terminal: they are the point.
func quiet(cfg *mysql.Config) *mysql.Config {
	cfg.Logger = &mysql.NopLogger{}
	return cfg
}

type realMySQL struct {
	db     *sql.DB
	addr   string
	tables client.Tables
}

func openRealMySQL(ctx context.Context, cfg *mysql.Config, run string, values map[string]string) (*realMySQL, error) {
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	r := &realMySQL{db: sql.OpenDB(c), addr: cfg.Addr, tables: client.Tables{Values: server.Values + "_" + run, Added: server.Added + "_" + run}}
	ctx, cancel := context.WithTimeout(ctx, setupMax)
	defer cancel()
	do := func(query string, args ...any) {
		if err == nil {
			_, err = r.db.ExecContext(ctx, query, args...)
		}
	}
	do("CREATE TABLE " + r.tables.Values + " (k VARCHAR(190) PRIMARY KEY, v VARCHAR(190) NOT NULL)")
	do("CREATE TABLE " + r.tables.Added + " (request VARCHAR(190) NOT NULL, KEY (request))")
	for k, v := range values {
		do("INSERT INTO "+r.tables.Values+" VALUES (?, ?)", k, v)
	}
	if err != nil {
		return nil, errors.Join(err, r.db.Close())
	}
	return r, nil
}

func (r *realMySQL) Addr() string { return r.addr }

// pieces is how many requests one question to a real server names.
const pieces = 500

func (r *realMySQL) Counts(ctx context.Context, requests []string) (map[string]int, error) {
	got := make(map[string]int, len(requests))
	err := inPieces(requests, func(some []any, marks string) error {
		rows, err := r.db.QueryContext(ctx, "SELECT request, COUNT(*) FROM "+r.tables.Added+" WHERE request IN ("+marks+") GROUP BY request", some...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var id string
			var n int
			if err = rows.Scan(&id, &n); err != nil {
				return err
			}
			got[id] = n
		}
		return rows.Err()
	})
	return got, err
}

func (r *realMySQL) Forget(ctx context.Context, requests []string) error {
	return inPieces(requests, func(some []any, marks string) error {
		_, err := r.db.ExecContext(ctx, "DELETE FROM "+r.tables.Added+" WHERE request IN ("+marks+")", some...)
		return err
	})
}

func (r *realMySQL) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), setupMax)
	defer cancel()
	_, err1 := r.db.ExecContext(ctx, "DROP TABLE "+r.tables.Values)
	_, err2 := r.db.ExecContext(ctx, "DROP TABLE "+r.tables.Added)
	return errors.Join(err1, err2, r.db.Close())
}

func inPieces(requests []string, do func(some []any, marks string) error) error {
	for len(requests) > 0 {
		n := min(len(requests), pieces)
		some := make([]any, n)
		for i, id := range requests[:n] {
			some[i] = id
		}
		if err := do(some, strings.TrimSuffix(strings.Repeat("?,", n), ",")); err != nil {
			return err
		}
		requests = requests[n:]
	}
	return nil
}

// openRedis gives the server at addr, or an embedded one.
func openRedis(ctx context.Context, addr string, values map[string]string) (backend, error) {
	if addr == "" {
		return server.StartRedis(values)
	}
	if err := CheckRedis(addr); err != nil {
		return nil, err
	}
	r := &realRedis{client: redis.NewClient(&redis.Options{Addr: addr}), addr: addr}
	ctx, cancel := context.WithTimeout(ctx, setupMax)
	defer cancel()
	for k, v := range values {
		if err := r.client.Set(ctx, k, v, time.Hour).Err(); err != nil {
			return nil, errors.Join(
				inputError("the Redis server at %s cannot be used: %v; check --redis, or leave it out to use the embedded server", addr, err), r.client.Close())
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

// CheckRedis says what is wrong with an address.
func CheckRedis(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || port == "" {
		return inputError("--redis is %q, which is no address; write it as 127.0.0.1:6379", addr)
	}
	return nil
}

type realRedis struct {
	client *redis.Client
	addr   string
	keys   []string
}

func (r *realRedis) Addr() string { return r.addr }

func (r *realRedis) Counts(ctx context.Context, requests []string) (map[string]int, error) {
	got := make(map[string]int, len(requests))
	for len(requests) > 0 {
		some := requests[:min(len(requests), pieces)]
		values, err := r.client.MGet(ctx, some...).Result()
		if err != nil {
			return nil, err
		}
		for i, v := range values {
			var n int
			if s, ok := v.(string); ok {
				if _, err = fmt.Sscan(s, &n); err != nil {
					return nil, fmt.Errorf("counter %q is %q: %w", some[i], s, err)
				}
				got[some[i]] = n
			}
		}
		requests = requests[len(some):]
	}
	return got, nil
}

func (r *realRedis) Forget(ctx context.Context, requests []string) error {
	for len(requests) > 0 {
		some := requests[:min(len(requests), pieces)]
		if err := r.client.Del(ctx, some...).Err(); err != nil {
			return err
		}
		requests = requests[len(some):]
	}
	return nil
}

func (r *realRedis) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), setupMax)
	defer cancel()
	return errors.Join(r.Forget(ctx, r.keys), r.client.Close())
}
