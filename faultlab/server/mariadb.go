//go:build linux

package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	_ "github.com/go-sql-driver/mysql" // to see when the server answers
)

func mariadb() product {
	return product{
		name:      "MariaDB",
		driver:    "mysql",
		accounts:  []string{"mysql"},
		bins:      []string{"/usr/sbin", "/usr/local/sbin"},
		installer: "mariadb-install-db",
		server:    "mariadbd",
		install:   installMariaDB,
		arguments: argumentsMariaDB,
		dsn:       dsnMariaDB,
		ready:     answersSQL,
		tls:       true,
	}
}

// grants run at each start. The server is reached only from this machine and lives for one test.
const grants = `CREATE DATABASE IF NOT EXISTS herz;
CREATE USER IF NOT EXISTS herz@'%';
GRANT ALL ON *.* TO herz@'%' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS client@'%';
GRANT ALL ON herz.* TO client@'%';
`

func installMariaDB(a *account, p *product, data string) error {
	installer, err := p.program(p.installer)
	if err != nil {
		return err
	}
	// MariaDB removes the temporary tables of others from its folder when it starts, and so of another installation.
	err = a.run(filepath.Dir(data), "", installer, "--no-defaults", "--datadir="+data, "--tmpdir="+filepath.Dir(data), "--innodb-log-file-size=8M",
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(data, "grants.sql"), []byte(grants), 0o644)
}

func argumentsMariaDB(s *Server) ([]string, error) {
	args := []string{
		"--no-defaults", "--datadir=" + s.data(), "--tmpdir=" + s.dir,
		"--socket=" + filepath.Join(s.dir, "socket"), "--pid-file=" + filepath.Join(s.dir, "pid"),
		"--bind-address=" + s.opt.Listen, "--port=" + strconv.Itoa(s.Port), "--skip-name-resolve", "--skip-log-bin",
		"--init-file=" + filepath.Join(s.data(), "grants.sql"), "--performance-schema=OFF",
		"--max-connections=" + strconv.Itoa(s.opt.connections()),
		"--innodb-log-file-size=8M", "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=2",
	}
	if idle := s.opt.idleSeconds(); idle > 0 {
		args = append(args, fmt.Sprintf("--wait-timeout=%d", idle), fmt.Sprintf("--interactive-timeout=%d", idle))
	}
	if p := s.paper; p != nil {
		args = append(args, "--ssl-ca="+p.authority, "--ssl-cert="+p.certificate, "--ssl-key="+p.key)
	}
	for _, set := range s.opt.Settings {
		args = append(args, "--"+set)
	}
	return args, nil
}

func dsnMariaDB(s *Server, a Access) string {
	dsn := fmt.Sprintf("%s@tcp(%s)/herz", a.account(), a.Addr)
	if a.secure(s) {
		dsn += "?tls=" + s.paper.name
	}
	return dsn
}
