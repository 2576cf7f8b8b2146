package herzpgx

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"herz.example/herz/guard"
)

// Guard makes every connection of cfg a guarded one. The options are guard.SQL unless others are given. The DialFunc of cfg
// is kept, what it dials is guarded, and it is given no longer than Options.HeartbeatTimeout. Where cfg has no
// ConnectTimeout it is set to that time too, which bounds the whole of the connecting; with several hosts each gets an equal
// part, so that a silent one does not use it up.
func Guard(cfg *pgx.ConnConfig, o ...guard.Options) {
	options := guard.SQL
	if len(o) > 0 {
		options = o[0]
	}
	budget := budgetOf(options)
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = budget / time.Duration(hosts(cfg))
	}
	own := cfg.DialFunc
	if own == nil {
		own = new(net.Dialer).DialContext
	}
	connect := cfg.ConnectTimeout
	found := &phonebook{lookup: cfg.LookupFunc, by: options.Resolver}
	cfg.LookupFunc = found.resolve
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		limit := budget
		if farewell(ctx, connect) {
			limit = time.Duration(float64(budget) * pingShare)
		}
		dctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		nc, err := own(dctx, network, addr)
		if err != nil {
			return nil, err
		}
		g := guard.WrapContext(ctx, nc, options)
		g.SetName(found.name(addr))
		return g.Surface(), nil
	}
	after := cfg.AfterNetConnect
	cfg.AfterNetConnect = func(ctx context.Context, c *pgconn.Config, nc net.Conn) (net.Conn, error) {
		if after != nil {
			var err error
			if nc, err = after(ctx, c, nc); err != nil {
				return nil, err
			}
		}
		return newStream(nc), nil
	}
}

// farewell reports whether a dial is for the cancel request that pgx sends on its own when it gives a connection up. pgx gives it 15
// seconds (pgconn v5.12.0, asyncClose), which is more than any dial of a new connection has, and holds the connection's place in
// a pgxpool for as long.
func farewell(ctx context.Context, connect time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) > connect
}

func hosts(cfg *pgx.ConnConfig) int {
	seen := map[string]bool{cfg.Host: true}
	for _, f := range cfg.Fallbacks {
		seen[f.Host] = true
	}
	return len(seen)
}
