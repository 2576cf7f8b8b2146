package herzpgx

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

const (
	// pingAfter is the idle time after which a connection is pinged before it is lent, pgxpool's own figure.
	pingAfter = time.Second
	// pingShare is the part of HeartbeatTimeout that a ping may take, 1 s of 3.2 s: the rest is for a dial.
	pingShare = 5.0 / 16
)

// GuardPool guards the connections of a pgxpool and has each checked before it is lent: one that is dead, or was idle for a second
// and does not answer a ping, is destroyed, and the pool takes another. After one ping was not answered, connections that were
// idle since before it are dropped without one. The options are guard.SQL unless others are given.
//
// A connection whose server refuses to write because of its role (SQLSTATE 25006) is not lent again either.
//
// After four attempts to connect of which none has succeeded, further ones begin after pauses of 10 ms to 1 s, until one succeeds: a server that is
// full, or down, is not dialled as often as callers come. It uses BeforeConnect and AfterConnect for that, and calls those of the application.
//
// It takes the place of ShouldPing and PingTimeout. PrepareConn and BeforeAcquire stay the application's, and run after the
// check. Where cfg has no connect_timeout, a dial is given what a ping leaves of Options.HeartbeatTimeout.
func GuardPool(cfg *pgxpool.Config, o ...guard.Options) {
	options := guard.SQL
	if len(o) > 0 {
		options = o[0]
	}
	budget := budgetOf(options)
	limit := time.Duration(float64(budget) * pingShare)
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = (budget - limit - budget/32) / time.Duration(hosts(cfg.ConnConfig))
	}
	Guard(cfg.ConnConfig, options)
	rest(cfg)
	c := &checker{limit: limit, start: time.Now()}
	dial, connect := cfg.ConnConfig.DialFunc, cfg.ConnConfig.ConnectTimeout
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if farewell(ctx, connect) && c.silent(budget) {
			return nil, errSilent
		}
		return dial(ctx, network, addr)
	}
	onRefused(&cfg.ConnConfig.Config, func(nc net.Conn) {
		if g, ok := guard.From(nc); ok {
			g.Condemn(conn.Identity)
		}
	})
	cfg.ShouldPing = func(ctx context.Context, p pgxpool.ShouldPingParams) bool {
		g, probe := guardOf(p.Conn)
		return g != nil && !passes(ctx, p.Conn, c.check(ctx, g, p.IdleDuration, probe.Ping))
	}
}

// rest puts pauses between attempts that fail.
func rest(cfg *pgxpool.Config) {
	p := newPause()
	before, after := cfg.BeforeConnect, cfg.AfterConnect
	cfg.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error {
		if err := p.turn(ctx); err != nil || before == nil {
			return err
		}
		return before(ctx, c)
	}
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		p.succeeded()
		if after == nil {
			return nil
		}
		return after(ctx, c)
	}
}

// checker checks the connections of one pgxpool.
type checker struct {
	limit time.Duration
	start time.Time
	asked atomic.Int64 // when the newest ping was sent that was not answered; 0: none
}

// errSilent is told to pgx only, which ignores it: there is nothing to cancel at a server that has just not answered a ping, and
// the dial would hold a place of the pool.
var errSilent = errors.New("herz/herzpgx: no cancel request to a server that does not answer")

// silent reports whether a ping was not answered within the last budget.
func (c *checker) silent(budget time.Duration) bool {
	asked := c.asked.Load()
	return asked != 0 && int64(time.Since(c.start))-asked < int64(budget)
}

// check checks one connection that was idle for so long.
func (c *checker) check(ctx context.Context, g *guard.Conn, idle time.Duration, ping func(context.Context) error) error {
	g.Begin()
	if err := g.Alive(); err != nil || idle <= pingAfter {
		return err
	}
	now := int64(time.Since(c.start)) + 1
	if now-int64(idle) < c.asked.Load() {
		g.Abort(conn.Heartbeat)
		return guard.ErrDead
	}
	limit := c.limit
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	stop := g.Expect(limit)
	err := ping(ctx)
	if !stop() {
		c.asked.Store(now)
		if err == nil {
			err = guard.ErrDead // the answer came when the connection had been given up
		}
	}
	g.Begin()
	return err
}

func budgetOf(o guard.Options) time.Duration {
	if o.HeartbeatTimeout == 0 {
		return guard.DefaultHeartbeatTimeout
	}
	return o.HeartbeatTimeout
}
