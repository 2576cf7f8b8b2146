//go:build linux

package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	_ "github.com/go-sql-driver/mysql" // to see when the server answers
)

var mariadb = product{
	name:      "MariaDB",
	driver:    "mysql",
	accounts:  []string{"mysql"},
	bins:      []string{"/usr/sbin", "/usr/local/sbin"},
	installer: "mariadb-install-db",
	server:    "mariadbd",
	install:   installMariaDB,
	arguments: argumentsMariaDB,
	dsn:       func(s *Server) string { return fmt.Sprintf("herz@tcp(%s)/herz", s.Addr()) },
}

// grants run at each start. The server is reached only from this machine and lives for one test.
const grants = `CREATE DATABASE IF NOT EXISTS herz;
CREATE USER IF NOT EXISTS herz@'%';
GRANT ALL ON *.* TO herz@'%' WITH GRANT OPTION;
`

func installMariaDB(a *account, installer, data string) error {
	err := a.run(filepath.Dir(data), installer, "--no-defaults", "--datadir="+data, "--innodb-log-file-size=8M",
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(data, "grants.sql"), []byte(grants), 0o644)
}

func argumentsMariaDB(s *Server) []string {
	args := []string{
		"--no-defaults", "--datadir=" + s.data(), "--tmpdir=" + s.dir,
		"--socket=" + filepath.Join(s.dir, "socket"), "--pid-file=" + filepath.Join(s.dir, "pid"),
		"--bind-address=" + s.opt.IP, "--port=" + strconv.Itoa(s.Port), "--skip-name-resolve", "--skip-log-bin",
		"--init-file=" + filepath.Join(s.data(), "grants.sql"), "--performance-schema=OFF", "--max-connections=100",
		"--innodb-log-file-size=8M", "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=2",
	}
	for _, set := range s.opt.Settings {
		args = append(args, "--"+set)
	}
	return args
}
