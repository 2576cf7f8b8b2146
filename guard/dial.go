package guard

import (
	"context"
	"errors"
	"net"
	"time"
)

// Dialer dials guarded connections. The zero value is ready. It must not be changed while it is in use.
type Dialer struct {
	// Net dials. Its Timeout and Deadline count as well; its KeepAlive settings hold while no exchange waits.
	Net net.Dialer
	// Options say how the connections are guarded.
	Options Options
}

// DialContext dials within the time of ctx, and never longer than Options.HeartbeatTimeout. What it returns has exactly the
// optional methods of the dialled connection (see Conn.Surface); From finds the guard. Datagram connections are not guarded.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	dctx, cancel := context.WithTimeout(ctx, d.Options.withDefaults().HeartbeatTimeout)
	defer cancel()
	dialer := &d.Net
	if dialer.Resolver == nil && d.Options.Resolver != nil {
		dialer = new(net.Dialer)
		*dialer = d.Net
		dialer.Resolver = d.Options.Resolver
	}
	nc, err := dialer.DialContext(dctx, network, addr)
	if err != nil {
		return nil, err
	}
	if !isStream(nc) {
		return nc, nil
	}
	o := d.Options
	o.Resolver = dialer.Resolver
	g := WrapContext(ctx, nc, o)
	g.SetResolvedName(addr) // net.Dialer dials what the name leads to, and nothing else
	return g.Surface(), nil
}

// isStream is false for datagrams, which have no peer that could be gone.
func isStream(nc net.Conn) bool {
	switch nc := nc.(type) {
	case *net.UDPConn, *net.IPConn:
		return false
	case *net.UnixConn:
		return nc.RemoteAddr().Network() != "unixgram"
	default:
		return true
	}
}

// Dial is DialContext for libraries that have no context to give.
func (d *Dialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

// DialTimeout is DialContext for libraries that give a time-out (lib/pq). A timeout of 0 or less means none.
func (d *Dialer) DialTimeout(network, addr string, timeout time.Duration) (net.Conn, error) {
	if timeout <= 0 {
		return d.Dial(network, addr)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, addr)
}

func (d *Dialer) check() error {
	err := d.Options.Check()
	if d.Options.ListenKeepAlive && d.Net.KeepAlive < 0 && !d.Net.KeepAliveConfig.Enable {
		err = errors.Join(err, errors.New("herz/guard: options: ListenKeepAlive needs keep-alive, which Net.KeepAlive < 0 turns off: unset one of them"))
	}
	return err
}
