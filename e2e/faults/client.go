//go:build linux

package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// client is one way in which an application reaches a server.
type client interface {
	// fill opens n connections and leaves them idle.
	fill(ctx context.Context, n int) error
	// write adds one row, on which the server works for so long.
	write(ctx context.Context, id int, slow time.Duration) error
	// mark is the number of the server that answers.
	mark(ctx context.Context) (int, error)
	// rows reads a result of wideRows rows, and says how many came. The last bytes that ask for it contain cutMark. Where there are
	// two protocols it is the one for prepared statements, or the other.
	rows(ctx context.Context, prepared bool) (int, error)
	close() error
}

const (
	wideRows = 20         // of the result that is cut
	cutMark  = "cut-here" // in the request for it
)

// target is what a client connects to.
type target struct {
	dsn   string
	table string        // of the client alone
	names *net.Resolver // nil: the system's
}

// spec is one column of the matrix.
type spec struct {
	product product
	driver  string
	mode    string
	open    func(t target) (client, error)
}

// The modes.
const (
	stock   = "stock"
	guarded = "guarded"
	pooled  = "pooled"
)

func (s spec) herz() bool { return s.mode != stock }

// specs are all columns, in their order.
var specs = []spec{
	{mariaDB, "mysql", stock, stockMySQL},
	{mariaDB, "mysql", guarded, herzSQL(mariaDB, "mysql", guarded)},
	{mariaDB, "mysql", pooled, herzSQL(mariaDB, "mysql", pooled)},
	{postgreSQL, "pgx", stock, stockPgx},
	{postgreSQL, "pgx", guarded, herzSQL(postgreSQL, "pgx", guarded)},
	{postgreSQL, "pgx", pooled, herzSQL(postgreSQL, "pgx", pooled)},
	{postgreSQL, "lib/pq", stock, stockPQ},
	{postgreSQL, "lib/pq", guarded, herzSQL(postgreSQL, "postgres", guarded)},
	{postgreSQL, "lib/pq", pooled, herzSQL(postgreSQL, "postgres", pooled)},
	{postgreSQL, "pgxpool", stock, stockPool},
	{postgreSQL, "pgxpool", guarded, herzPool},
	{redisServer, "go-redis", stock, stockRedis},
	{redisServer, "go-redis", guarded, herzRedis},
}

// hooked dials for a client without Herz, as its driver would, and remembers what it dialled, so that calls which hang can be
// ended when nobody watches them any more.
type hooked struct {
	net.Dialer

	// mu guards conns. Nothing is called under it.
	mu    sync.Mutex
	conns []net.Conn
}

func newHooked(t target, keepAlive time.Duration) *hooked {
	return &hooked{Dialer: net.Dialer{KeepAlive: keepAlive, Resolver: t.names}}
}

// DialContext dials.
func (s *hooked) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := s.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, nc)
	return nc, nil
}

// Dial dials for lib/pq, which asks for it.
func (s *hooked) Dial(network, addr string) (net.Conn, error) {
	return s.DialContext(context.Background(), network, addr)
}

// DialTimeout dials for lib/pq, which asks for it.
func (s *hooked) DialTimeout(network, addr string, most time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	return s.DialContext(ctx, network, addr)
}

// hangUp ends whatever waits on a connection.
func (s *hooked) hangUp() error {
	s.mu.Lock()
	conns := slices.Clone(s.conns)
	s.conns = nil
	s.mu.Unlock()
	var errs []error
	for _, nc := range conns {
		if err := nc.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
