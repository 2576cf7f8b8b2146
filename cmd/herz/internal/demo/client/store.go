package client

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"herz.example/herz/cmd/herz/internal/demo/article"
)

// Store is what the handler asks.
type Store interface {
	// Read gives the value of key.
	Read(ctx context.Context, key string) (string, error)
	// Add counts the request and gives how often it was counted: "1".
	Add(ctx context.Context, request string) (string, error)
	Close() error
}

// Tables are the names of the tables of the run: Values has the columns k and v, Added has request.
type Tables struct{ Values, Added string }

type sqlStore struct {
	db *sql.DB
	in Tables
}

func (s sqlStore) Read(ctx context.Context, key string) (string, error) {
	var v string
	err := s.db.QueryRowContext(ctx, "SELECT v FROM "+s.in.Values+" WHERE k = ?", key).Scan(&v)
	return v, err
}

func (s sqlStore) Add(ctx context.Context, request string) (string, error) {
	res, err := s.db.ExecContext(ctx, "INSERT INTO "+s.in.Added+" (request) VALUES (?)", request)
	if err != nil {
		return "", err
	}
	n, err := res.RowsAffected()
	return strconv.FormatInt(n, 10), err
}

func (s sqlStore) Close() error { return s.db.Close() }

type redisStore struct{ client *redis.Client }

func (s redisStore) Read(ctx context.Context, key string) (string, error) {
	return s.client.Get(ctx, key).Result()
}

func (s redisStore) Add(ctx context.Context, request string) (string, error) {
	n, err := s.client.Incr(ctx, request).Result()
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(n, 10), nil
}

func (s redisStore) Close() error { return s.client.Close() }

type articleStore struct{ pool *article.Pool }

func (s articleStore) Read(ctx context.Context, key string) (string, error) {
	return s.do(ctx, "GET", key)
}

func (s articleStore) Add(ctx context.Context, request string) (string, error) {
	return s.do(ctx, "INCR", request)
}

func (s articleStore) do(ctx context.Context, command ...string) (string, error) {
	v, err := s.pool.Do(ctx, command...)
	if err != nil {
		return "", fmt.Errorf("%s: %w", command[0], err)
	}
	return v, nil
}

func (s articleStore) Close() error { return s.pool.Close() }
