//go:build linux

package server

import (
	"errors"
	"fmt"
	"time"
)

// Options say how a server is started. The zero value is good: on loopback, with default settings.
type Options struct {
	// IP is the address that clients dial, and on which it listens. Empty: 127.0.0.1.
	IP string
	// Listen is the address on which it listens, where that is another. In a namespace that has several addresses, 0.0.0.0 is all of
	// them. Empty: IP.
	Listen string
	// Enter runs the start of the server, for instance inside a network namespace. Nil: here.
	Enter func(start func() error) error
	// Settings are the server's own, as "name=value". Those of HAProxy are lines of its defaults (mode=http makes it speak HTTP). Those of nginx are directives
	// of its location; "server=…" are parameters of each server in its upstream, and "upstream=…" are further lines there. Those of Envoy are
	// fields, by their path from one of the messages in [EnvoyRoots], and flags: "manager.drain_timeout=0.5s", "--drain-time-s=2".
	Settings []string

	// IdleTimeout is how long a client may be idle before the server ends its connection: wait_timeout of MariaDB, idle_session_timeout of PostgreSQL,
	// timeout of Redis, timeout client and server of HAProxy, keepalive_timeout of nginx and idle_timeout of Envoy for their clients, and
	// client_idle_timeout of PgBouncer (which does not mean clients that have a server: in session mode, those that ever asked anything). Whole
	// seconds. 0: none, and nginx's and Envoy's own.
	IdleTimeout time.Duration
	// MaxConnections is how many clients are let in; PostgreSQL then keeps no place for superusers, and MariaDB, whose least is 10, has
	// one more for the owner. 0: 100.
	MaxConnections int

	// Follow makes a PostgreSQL server a standby of this one, from whose data it begins, under the same system identifier. It is read-only until
	// [Server.Promote]. Nil: a server of its own.
	Follow *Server

	// TLS gives the server a certificate of a private authority, valid for IP, 127.0.0.1 and Names, and lets clients verify it: MariaDB,
	// PostgreSQL and Envoy, which speaks HTTP/2 then to who wants it. Clients without TLS are still let in, but by Envoy.
	TLS bool
	// Names are further IP addresses and host names in the certificate, by which clients come: of a proxy, a router, a relay.
	Names []string

	// To are the servers, as "host:port", that HAProxy, nginx and Envoy lead to in turn, or the one that PgBouncer leads to.
	To []string
	// Transaction makes PgBouncer lend a server for each transaction only. False: for the whole session of a client. Clients must not use prepared
	// statements then: pgx needs default_query_exec_mode=simple_protocol.
	Transaction bool
}

// defaultMaxConnections is what servers have without [Options.MaxConnections].
const defaultMaxConnections = 100

func (o Options) withDefaults() Options {
	if o.IP == "" {
		o.IP = "127.0.0.1"
	}
	if o.Listen == "" {
		o.Listen = o.IP
	}
	if o.Enter == nil {
		o.Enter = func(start func() error) error { return start() }
	}
	return o
}

func (o Options) check(p *product) error {
	switch {
	case o.TLS && !p.tls:
		return fmt.Errorf("%s is not started with TLS here: unset TLS", p.name)
	case p.behind != (len(o.To) > 0):
		return fmt.Errorf("%s: To has %d servers: HAProxy, nginx, Envoy and PgBouncer need one, and others have none", p.name, len(o.To))
	case o.IdleTimeout < 0 || o.IdleTimeout%time.Second != 0:
		return fmt.Errorf("IdleTimeout is %v: servers count whole seconds", o.IdleTimeout)
	case o.MaxConnections < 0:
		return errors.New("MaxConnections is negative")
	case o.Follow != nil && (!p.follows || o.Follow.Kind.product() != p):
		return fmt.Errorf("%s: only PostgreSQL follows, and only PostgreSQL", p.name)
	case o.Transaction && !p.lends:
		return fmt.Errorf("%s: only PgBouncer has Transaction", p.name)
	}
	return nil
}

func (o Options) idleSeconds() int { return int(o.IdleTimeout / time.Second) }

func (o Options) connections() int {
	if o.MaxConnections == 0 {
		return defaultMaxConnections
	}
	return o.MaxConnections
}
