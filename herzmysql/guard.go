package herzmysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"runtime"
	"slices"

	"github.com/go-sql-driver/mysql"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
)

func init() {
	herzsql.Register(herzsql.Driver{
		Names:     []string{"mysql"},
		Connector: connector,
		Owns:      owns,
		Hides:     hides,
		// markBadConn returns it only where nothing was written. rejectReadOnly returns it after a complete answer and a goodbye, to
		// which the server may close at once, so that the socket alone looks like a lost answer.
		BadConnProves: true,
		Identity:      identity,
		WrongRole:     wrongRole,
	})
}

// Guard makes every connection of cfg a guarded one. The options are guard.SQL unless others are given. A DialFunc that cfg has
// is kept, and what it dials is guarded. A network that was registered by mysql.RegisterDialContext is dialled by the
// registered function as before; that function must guard what it dials, by guard.WrapContext.
//
// On Linux it turns CheckConnLiveness off where it guards the connection itself: the driver would ask the kernel at each loan for what the guard is
// told of by itself, and asks for before the first byte of a request that follows 20 ms of silence.
func Guard(cfg *mysql.Config, o ...guard.Options) {
	options := guard.SQL
	if len(o) > 0 {
		options = o[0]
	}
	options.ReplyOnly = true
	own := cfg.DialFunc
	direct := cfg.Net == "" || slices.Contains(networks, cfg.Net)
	if own != nil || direct {
		cfg.CheckConnLiveness = cfg.CheckConnLiveness && runtime.GOOS != "linux"
	}
	switch {
	case own != nil:
		cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := own(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			g := guard.WrapContext(ctx, nc, options)
			g.SetName(addr)
			return g.Surface(), nil
		}
	case direct:
		d := &guard.Dialer{Options: options}
		cfg.DialFunc = d.DialContext
	}
}

// networks are those that package net dials; others are names of registered functions.
var networks = []string{"tcp", "tcp4", "tcp6", "unix"}

func connector(dsn string, o guard.Options) (driver.Connector, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	Guard(cfg, o)
	return mysql.NewConnector(cfg)
}

func owns(d driver.Driver) bool {
	switch d.(type) {
	case *mysql.MySQLDriver, mysql.MySQLDriver:
		return true
	default:
		return false
	}
}

// hides names the error that the driver returns, after logging the true one, when a read fails (packets.go, readPacket).
func hides(err error) bool { return errors.Is(err, mysql.ErrInvalidConn) }
