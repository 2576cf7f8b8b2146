package herzgrpc

import (
	"context"
	"fmt"
	"net"
	"strings"

	"herz.example/herz/guard"
)

// options are how this channel's connections are guarded.
func (ch *channel) options() guard.Options {
	o := ch.client.config.Guard
	o.Multiplexed = true
	o.Awaited = func() bool { return ch.running.Load() > 0 }
	return o
}

// dial is gRPC's dialer. It gives a guarded connection, and gRPC puts TLS above that.
func (ch *channel) dial(ctx context.Context, target string) (net.Conn, error) {
	c := ch.client
	c.dials.Add(1)
	nc, err := ch.connect(ctx, target)
	if err != nil {
		c.dialsFailed.Add(1)
		return nil, fmt.Errorf("herz/herzgrpc: connect to %s: %w", target, err)
	}
	if g, ok := guard.From(nc); ok {
		ch.keep(g)
	}
	return nc, nil
}

func (ch *channel) connect(ctx context.Context, target string) (net.Conn, error) {
	cfg := &ch.client.config
	network, addr := split(target)
	if cfg.Dialer != nil {
		ctx, cancel := context.WithTimeout(ctx, cfg.Guard.HeartbeatTimeout)
		defer cancel()
		nc, err := cfg.Dialer(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		g := guard.WrapContext(ctx, nc, ch.options())
		g.SetName(addr)
		return g.Surface(), nil
	}
	d := guard.Dialer{Options: ch.options()}
	if via := proxyFor(ctx); via != "" && network == "tcp" {
		return through(ctx, &d, via, addr)
	}
	return d.DialContext(ctx, network, addr)
}

// split gives the network of an address as gRPC writes it for dialers: "unix:path", "unix:///path", or host and port.
func split(target string) (network, addr string) {
	path, local := strings.CutPrefix(target, "unix:")
	switch {
	case local:
		return "unix", strings.TrimPrefix(path, "//")
	case strings.HasPrefix(target, "\x00"): // unix-abstract; net wants an at sign
		return "unix", "@" + target[1:]
	default:
		return "tcp", target
	}
}
