package herzpq

import (
	"context"
	"database/sql/driver"
	"net"
	"time"

	"github.com/lib/pq"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
)

func init() {
	herzsql.Register(herzsql.Driver{
		Names:     []string{"postgres"},
		Connector: connector,
		Owns:      owns,
		EndsLate:  true,
		Identity:  identity,
		WrongRole: wrongRole,
	})
}

// Guard makes every connection that c opens a guarded one. The options are guard.SQL unless others are given. A dialer that c has
// is replaced: the driver does not show it.
func Guard(c *pq.Connector, o ...guard.Options) {
	options := guard.SQL
	if len(o) > 0 {
		options = o[0]
	}
	c.Dialer(dialer{&guard.Dialer{Options: options}})
}

func connector(dsn string, o guard.Options) (driver.Connector, error) {
	c, err := pq.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	Guard(c, o)
	return c, nil
}

func owns(d driver.Driver) bool {
	_, ok := d.(*pq.Driver)
	return ok
}

// dialer has the methods from before contexts, which pq.Dialer asks for; the driver takes DialContext where it is there.
type dialer struct{ *guard.Dialer }

// Dial dials without a limit of its own.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialTimeout dials within the limit.
func (d dialer) DialTimeout(network, address string, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return d.DialContext(ctx, network, address)
}
