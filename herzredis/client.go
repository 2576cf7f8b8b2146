package herzredis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"herz.example/herz/guard"
)

// NewClient is redis.NewClient with guarded connections and with repeats only by proof. opt is not changed.
func NewClient(opt *redis.Options, o ...guard.Options) *redis.Client {
	own := *opt
	Guard(&own, o...)
	c := redis.NewClient(&own)
	c.AddHook(Hook())
	return c
}

// Guard makes every connection of opt a guarded one and turns go-redis' own repeats off. The options are
// [Options] unless others are given. It must come before redis.NewClient, and [Hook] be added after it, or commands on dead
// connections surface as errors. What it sets:
//
//   - Dialer: a guarded one. A Dialer that opt has is kept and what it dials is guarded. TLSConfig is honoured.
//   - MaxRetries -1, whatever it was. DialerRetries 1, where it was not set: the hook repeats, within the caller's time.
//   - ContextTimeoutEnabled: the deadline of a context ends the wait for an answer.
//   - DialTimeout, ReadTimeout and WriteTimeout, where they were not set: Options.HeartbeatTimeout less 200 ms, so that dial or
//     answer end within the budget.
func Guard(opt *redis.Options, o ...guard.Options) {
	options := Options
	if len(o) > 0 {
		options = o[0]
	}
	patience := budgetOf(options) - margin
	opt.Dialer = dialer(opt.Dialer, opt.TLSConfig, options)
	opt.MaxRetries = -1
	opt.ContextTimeoutEnabled = true
	if opt.DialerRetries == 0 {
		opt.DialerRetries = 1
	}
	if opt.DialTimeout == 0 {
		opt.DialTimeout = patience
	}
	if opt.ReadTimeout == 0 {
		opt.ReadTimeout = patience
	}
	if opt.WriteTimeout == 0 {
		opt.WriteTimeout = patience
	}
}

// Options are how connections to Redis are guarded unless other options are given: guard.Redis, and each command that
// follows an answer is an exchange of its own.
var Options = func() guard.Options {
	o := guard.Redis
	o.ImplicitBegin = true
	return o
}()

// margin is what go-redis may need around a wait, so that a call ends within the budget.
const margin = 200 * time.Millisecond

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func budgetOf(o guard.Options) time.Duration {
	if o.HeartbeatTimeout == 0 {
		return guard.DefaultHeartbeatTimeout
	}
	return o.HeartbeatTimeout
}

// dialer dials guarded connections that are pinged after silence.
func dialer(own dialFunc, config *tls.Config, o guard.Options) dialFunc {
	p := &path{start: time.Now()}
	dial := socket(own, config, o)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		var first time.Time
		if asked := p.asked.Load(); asked != 0 && p.now()-asked < int64(budgetOf(o)) {
			// This dial may follow a ping that was not answered; both share one budget, with the first answer on the new connection.
			first = p.start.Add(time.Duration(asked) + budgetOf(o) - margin)
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, budgetOf(o)-margin-time.Duration(float64(budgetOf(o))*pingShare))
			defer cancel()
		}
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return newSession(nc, p, o, first), nil
	}
}

// socket dials. go-redis honours TLSConfig only in a dialer of its own, so TLS is done here; a dialer of the application does its
// own TLS, as with go-redis alone.
func socket(own dialFunc, config *tls.Config, o guard.Options) dialFunc {
	if own != nil {
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := own(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			if _, guarded := guard.From(nc); guarded {
				return nc, nil
			}
			g := guard.WrapContext(ctx, nc, o)
			g.SetName(addr)
			return g.Surface(), nil
		}
	}
	d := &guard.Dialer{Options: o}
	if config == nil {
		return d.DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return handshake(ctx, nc, config, addr)
	}
}

func handshake(ctx context.Context, nc net.Conn, config *tls.Config, addr string) (net.Conn, error) {
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, errors.Join(err, nc.Close())
		}
		config = config.Clone()
		config.ServerName = host
	}
	tc := tls.Client(nc, config)
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return tc, nil
}
