//go:build linux

package server

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"

	_ "github.com/jackc/pgx/v5/stdlib" // to see when the server answers
)

func postgres() product {
	return product{
		name:      "PostgreSQL",
		driver:    "pgx",
		accounts:  []string{"postgres"},
		bins:      []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"},
		installer: "initdb",
		server:    "postgres",
		install:   installPostgres,
		arguments: argumentsPostgres,
		dsn:       dsnPostgres,
		ready:     answersSQL,
		tls:       true,
		follows:   true,
	}
}

// roles are given one a line, as the single-user mode wants them.
const roles = `CREATE ROLE client LOGIN;
GRANT ALL ON SCHEMA public TO client;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO client;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO client;
`

func installPostgres(a *account, p *product, data string) error {
	dir := filepath.Dir(data)
	installer, err := p.program(p.installer)
	if err != nil {
		return err
	}
	if err := a.run(dir, "", installer, "--pgdata="+data, "--username=herz", "--auth=trust", "--no-sync",
		"--encoding=UTF8", "--locale=C"); err != nil {
		return err
	}
	single, err := p.program(p.server)
	if err != nil {
		return err
	}
	if err := a.run(dir, roles, single, "--single", "-D", data, "-c", "fsync=off", "postgres"); err != nil {
		return err
	}
	// The server is reached only from this machine and lives for one test.
	return appendTo(filepath.Join(data, "pg_hba.conf"), "host all all all trust\nhost replication all all trust\n")
}

// followPostgres copies the data of the server that is followed, with the settings that make a standby of it.
func (s *Server) followPostgres() error {
	backup, err := s.Kind.product().program("pg_basebackup")
	if err != nil {
		return err
	}
	from := s.opt.Follow
	err = s.opt.Enter(func() error {
		return s.account.run(s.dir, "", backup, "-h", from.opt.IP, "-p", strconv.Itoa(from.Port), "-U", "herz", "-w",
			"-D", s.data(), "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
	})
	if err != nil {
		return fmt.Errorf("copy the data of %s: %w", from.Addr(), err)
	}
	return nil
}

func argumentsPostgres(s *Server) ([]string, error) {
	args := []string{"-D", s.data(), "-k", s.dir, "-h", s.opt.Listen, "-p", strconv.Itoa(s.Port)}
	settings := []string{
		"fsync=off", "full_page_writes=off", "shared_buffers=16MB", "autovacuum=off",
		"max_connections=" + strconv.Itoa(s.opt.connections()),
	}
	if s.opt.MaxConnections > 0 {
		settings = append(settings, "superuser_reserved_connections=0")
	}
	if s.opt.IdleTimeout > 0 {
		settings = append(settings, "idle_session_timeout="+strconv.FormatInt(s.opt.IdleTimeout.Milliseconds(), 10))
	}
	if p := s.paper; p != nil {
		settings = append(settings, "ssl=on", "ssl_cert_file="+p.certificate, "ssl_key_file="+p.key)
	}
	for _, set := range append(settings, s.opt.Settings...) {
		args = append(args, "-c", set)
	}
	return args, nil
}

func dsnPostgres(s *Server, a Access) string {
	secure := "sslmode=disable"
	if a.secure(s) {
		secure = "sslmode=verify-full&sslrootcert=" + url.QueryEscape(s.paper.authority)
	}
	return fmt.Sprintf("postgres://%s@%s/postgres?%s", a.account(), a.Addr, secure)
}
