package story

import (
	"database/sql"
	"fmt"

	_ "herz.example/herz/herzmysql" // guards go-sql-driver/mysql
	_ "herz.example/herz/herzpgx"   // guards jackc/pgx
	"herz.example/herz/herzsql"
)

// Modes are the ways to open a database.
var Modes = []string{"plain", "guarded", "pooled"}

// Open opens a database in one of the Modes. All of them give a genuine *sql.DB, and nothing after this line differs.
func Open(mode, driver, dsn string) (*sql.DB, error) {
	switch mode {
	case "plain":
		return sql.Open(driver, dsn)
	case "guarded":
		return herzsql.Open(driver, dsn)
	case "pooled":
		return herzsql.OpenPooled(driver, dsn)
	default:
		return nil, fmt.Errorf("mode %q is unknown; known are %q", mode, Modes)
	}
}
