//go:build linux

package server

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

func pgbouncer() product {
	return product{
		name:      "PgBouncer",
		driver:    "pgx",
		accounts:  []string{"postgres"},
		bins:      []string{"/usr/sbin", "/usr/bin"},
		server:    "pgbouncer",
		arguments: argumentsPgBouncer,
		dsn:       dsnPostgres,
		ready:     answersSQL,
		behind:    true,
		lends:     true,
	}
}

// serversMost is how many connections PgBouncer makes to its server.
const serversMost = 50

func argumentsPgBouncer(s *Server) ([]string, error) {
	host, port, err := net.SplitHostPort(s.opt.To[0])
	if err != nil || len(s.opt.To) != 1 {
		return nil, fmt.Errorf("PgBouncer leads to one server, as host:port, not to %q", s.opt.To)
	}
	mode := "session"
	if s.opt.Transaction {
		mode = "transaction"
	}
	var text strings.Builder
	// auth_type = any gives everybody the account of the database's line.
	fmt.Fprintf(&text, "[databases]\n* = host=%s port=%s user=herz\n[pgbouncer]\nlisten_addr = %s\nlisten_port = %d\n", host, port, s.opt.Listen, s.Port)
	fmt.Fprintf(&text, "unix_socket_dir =\nauth_type = any\npool_mode = %s\nmax_client_conn = %d\ndefault_pool_size = %d\nclient_idle_timeout = %d\n",
		mode, s.opt.connections(), serversMost, s.opt.idleSeconds())
	// lib/pq sends it at the start of each session.
	text.WriteString("ignore_startup_parameters = extra_float_digits\n")
	for _, set := range s.opt.Settings {
		text.WriteString(strings.Replace(set, "=", " = ", 1) + "\n")
	}
	config := filepath.Join(s.dir, "pgbouncer.ini")
	if err := os.WriteFile(config, []byte(text.String()), 0o644); err != nil {
		return nil, err
	}
	return []string{config}, nil
}
