// Package examples holds programs that use a database through three well-known libraries: gorm, sqlx and bun. Each tells the same story, and
// tells it alike however its *sql.DB was opened:
//
//	go run ./examples/gorm -driver mysql -dsn 'user:secret@tcp(127.0.0.1:3306)/shop' -mode guarded
//	go run ./examples/sqlx -driver pgx -dsn 'postgres://user:secret@127.0.0.1/shop' -mode pooled
//	go run ./examples/bun -driver pgx -dsn 'postgres://user:secret@127.0.0.1/shop' -mode plain -wait
//
// # Contract
//
// The whole difference between plain and Herz stands in story.Open. A program makes one table, whose name begins with herz_example_, and drops it.
// With -wait it waits for Enter before each step: restart the server meanwhile, and no step fails.
//
// # Not a goal
//
// They are no benchmark, and teach nobody these libraries.
//
// # Concurrency
//
// Each program is one goroutine.
package examples
