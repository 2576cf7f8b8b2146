//go:build linux

package main

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"herz.example/herz/herzredis"
)

// redisClient is a client of go-redis.
type redisClient struct {
	*redis.Client

	table   string
	sockets *hooked // nil: Herz's own
}

// keepAliveRedis is what go-redis dials with (options.go, NewDialer).
const keepAliveRedis = 5 * time.Minute

func stockRedis(t target) (client, error) {
	o, err := redis.ParseURL(t.dsn)
	if err != nil {
		return nil, err
	}
	s := newHooked(t, keepAliveRedis)
	o.PoolSize, o.Dialer = connections, s.DialContext
	return &redisClient{Client: redis.NewClient(o), table: t.table, sockets: s}, nil
}

func herzRedis(t target) (client, error) {
	o, err := redis.ParseURL(t.dsn)
	if err != nil {
		return nil, err
	}
	o.PoolSize = connections
	g := herzredis.Options
	g.Resolver = t.names
	return &redisClient{Client: herzredis.NewClient(o, g), table: t.table}, nil
}

func (c *redisClient) fill(ctx context.Context, n int) error {
	held := make([]*redis.Conn, n)
	var errs []error
	for i := range held {
		held[i] = c.Conn()
		errs = append(errs, held[i].Ping(ctx).Err())
	}
	for _, o := range held {
		errs = append(errs, o.Close())
	}
	return errors.Join(errs...)
}

// write appends to a list, which shows what was done twice. Redis has no slow write: a sleep would hold up all clients.
func (c *redisClient) write(ctx context.Context, id int, _ time.Duration) error {
	return c.RPush(ctx, c.table, id).Err()
}

func (c *redisClient) mark(ctx context.Context) (int, error) { return c.Get(ctx, "mark").Int() }

func (c *redisClient) rows(ctx context.Context, _ bool) (int, error) {
	all, err := c.LRange(ctx, cutMark, 0, -1).Result()
	return len(all), err
}

func (c *redisClient) close() error {
	err := c.Close()
	if c.sockets != nil {
		err = errors.Join(err, c.sockets.hangUp())
	}
	return err
}
