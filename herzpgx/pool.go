package herzpgx

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herz.example/herz/guard"
)

// GuardPool guards the connections of a pgxpool and has each checked before it is lent: one that is dead is destroyed, and
// the pool takes another. A PrepareConn or BeforeAcquire that cfg has runs after the check. Where cfg has no PingTimeout it is
// set to 5/16 of Options.HeartbeatTimeout (1 s of 3.2 s), so that the dial after a ping that was not answered fits into the same budget.
func GuardPool(cfg *pgxpool.Config, o ...guard.Options) {
	options := guard.SQL
	if len(o) > 0 {
		options = o[0]
	}
	Guard(cfg.ConnConfig, options)
	budget := options.HeartbeatTimeout
	if budget == 0 {
		budget = guard.DefaultHeartbeatTimeout
	}
	if cfg.PingTimeout == 0 {
		cfg.PingTimeout = budget * 5 / 16 / time.Millisecond * time.Millisecond
	}
	next := cfg.PrepareConn
	if before := cfg.BeforeAcquire; next == nil && before != nil { //nolint:staticcheck // still honoured by pgxpool
		next = func(ctx context.Context, c *pgx.Conn) (bool, error) { return before(ctx, c), nil }
	}
	cfg.PrepareConn = func(ctx context.Context, c *pgx.Conn) (bool, error) {
		if g, ok := guard.From(c.PgConn().Conn()); ok {
			g.Begin()
			if g.Alive() != nil {
				return false, nil
			}
		}
		if next == nil {
			return true, nil
		}
		return next(ctx, c)
	}
}
