package herzpgx

import (
	"context"
	"database/sql/driver"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
)

func init() {
	herzsql.Register(herzsql.Driver{
		Names:     []string{"pgx", "pgx/v5"},
		Connector: open,
		Owns:      func(d driver.Driver) bool { _, ok := d.(*stdlib.Driver); return ok },
		Identity:  identity,
		Query:     query,
		WrongRole: wrongRole,
		Socket:    func(c any) net.Conn { return c.(*stdlib.Conn).Conn().PgConn().Conn() },
		// pgx says so of a connection that it has closed before, and of one that refused the first byte.
		BadConnProves: true,
	})
}

func open(dsn string, o guard.Options) (driver.Connector, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	Guard(cfg, o)
	return connector{cfg: *cfg, Connector: stdlib.GetConnector(*cfg)}, nil
}

// Connector makes a connector for herzsql.OpenConnector from a configuration of one's own, which it guards (see [Guard]).
// The options are those of stdlib.GetConnector; an OptionShouldPing has no effect, because herzsql decides.
func Connector(cfg *pgx.ConnConfig, opts ...stdlib.OptionOpenDB) herzsql.Borrower {
	own := cfg.Copy()
	Guard(own)
	return connector{cfg: *own, opts: opts, Connector: stdlib.GetConnector(*own, opts...)}
}

// connector is pgx's own, with Herz's check in the hook that pgx calls before a connection is used again.
type connector struct {
	driver.Connector

	cfg  pgx.ConnConfig
	opts []stdlib.OptionOpenDB
}

// WithHooks puts the check in the place of pgx's own ping. The hook is ShouldPing and not ResetSession, so that one of the
// application stays in force. pgx shows errors of the server where it keeps OnPgError.
func (c connector) WithHooks(h herzsql.Hooks) driver.Connector {
	hook := stdlib.OptionShouldPing(func(ctx context.Context, p stdlib.ShouldPingParams) bool {
		if h.Check == nil {
			return false
		}
		g, probe := guardOf(p.Conn)
		probe.Checked = p.IdleDuration // since it asked last
		return g != nil && !passes(ctx, p.Conn, h.Check(ctx, g, probe))
	})
	cfg := c.cfg.Copy()
	if h.Refused != nil {
		onRefused(&cfg.Config, h.Refused)
	}
	if h.Lost != nil {
		onLost(&cfg.Config, h.Lost)
	}
	opts := append(append([]stdlib.OptionOpenDB(nil), c.opts...), hook)
	c.Connector = stdlib.GetConnector(*cfg, opts...)
	return c
}

// goodbye bounds the farewell to a server whose connection is given up.
const goodbye = 100 * time.Millisecond

// passes heeds the outcome of a check, in the hook that asks whether pgx should ping. A connection that failed is
// closed, so that the ping which pgx then makes fails at once, and the pool takes another.
func passes(ctx context.Context, c *pgx.Conn, failed error) bool {
	if failed == nil {
		return true
	}
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	_ = c.Close(bye) // it is given up in any case
	return false
}
