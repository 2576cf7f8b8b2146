//go:build linux

package server

import (
	"fmt"
	"path/filepath"
	"strconv"

	_ "github.com/jackc/pgx/v5/stdlib" // to see when the server answers
)

var postgres = product{
	name:      "PostgreSQL",
	driver:    "pgx",
	accounts:  []string{"postgres"},
	bins:      []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"},
	installer: "initdb",
	server:    "postgres",
	install:   installPostgres,
	arguments: argumentsPostgres,
	dsn:       func(s *Server) string { return fmt.Sprintf("postgres://herz@%s/postgres?sslmode=disable", s.Addr()) },
}

func installPostgres(a *account, installer, data string) error {
	if err := a.run(filepath.Dir(data), installer, "--pgdata="+data, "--username=herz", "--auth=trust", "--no-sync",
		"--encoding=UTF8", "--locale=C"); err != nil {
		return err
	}
	// The server is reached only from this machine and lives for one test.
	return appendTo(filepath.Join(data, "pg_hba.conf"), "host all all all trust\n")
}

func argumentsPostgres(s *Server) []string {
	args := []string{"-D", s.data(), "-k", s.dir, "-h", s.opt.IP, "-p", strconv.Itoa(s.Port)}
	for _, set := range append([]string{
		"fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=100", "autovacuum=off",
	}, s.opt.Settings...) {
		args = append(args, "-c", set)
	}
	return args
}
