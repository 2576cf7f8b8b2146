package herzpq

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"runtime"
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

// cancelTime bounds the driver's cancel requests: dial, request and the server's end of the connection. The driver waits for them at the end of a
// context, without a limit of its own where the server's kernel answers and the server does not.
const cancelTime = 250 * time.Millisecond

// DialContext dials a guarded connection.
func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if !cancels() {
		return d.Dialer.DialContext(ctx, network, address)
	}
	end := time.Now().Add(cancelTime)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	nc, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if err := nc.SetDeadline(end); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return request{nc}, nil
}

// request is the connection of a cancel request. Its deadline stays what it is: with connect_timeout the driver would set a later one.
type request struct{ net.Conn }

// SetDeadline leaves the deadline as it is.
func (request) SetDeadline(time.Time) error { return nil }

// NetConn is the guarded connection.
func (r request) NetConn() net.Conn { return r.Conn }

// cancels reports, by the stack, whether the driver dials in order to cancel a request: the context of such a dial is one like others.
func cancels() bool {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		if f.Function == "github.com/lib/pq.(*conn).cancel" {
			return true
		}
		if !more {
			return false
		}
	}
}

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
