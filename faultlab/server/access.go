//go:build linux

package server

// Access is a way to a server. The zero value is the owner's, straight to it, with TLS where the server has it.
type Access struct {
	// Addr is the host and port of something that leads there: a proxy, a router, a relay. Empty: the server's own.
	Addr string
	// Client is the way of the account "client", which may not write to a read-only server, rather than the owner's.
	Client bool
	// Plain is without TLS.
	Plain bool
}

// DSN is the data source name of the owner.
func (s *Server) DSN() string { return s.DSNOf(Access{}) }

// DSNOf is the data source name for a way: for go-sql-driver/mysql, for pgx and lib/pq alike, a URL for Redis, and for HAProxy, whose
// protocol is that of whom it leads to, host and port.
func (s *Server) DSNOf(a Access) string {
	if a.Addr == "" {
		a.Addr = s.Addr()
	}
	return s.Kind.product().dsn(s, a)
}

// account is who comes.
func (a Access) account() string {
	if a.Client {
		return "client"
	}
	return "herz"
}

// secure reports that TLS is spoken.
func (a Access) secure(s *Server) bool { return s.paper != nil && !a.Plain }
