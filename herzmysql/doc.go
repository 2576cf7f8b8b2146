// Package herzmysql puts the guard under github.com/go-sql-driver/mysql.
//
// # Contract
//
// Importing it registers the driver "mysql" with herzsql, so that herzsql.Open("mysql", dsn) and herzsql.OpenPooled work.
// [Guard] does the same for a *mysql.Config of one's own. A lost answer, which the driver reports as
// mysql.ErrInvalidConn, is also guard.ErrAmbiguous behind herzsql.
//
// # Not a goal
//
// It changes no setting of the driver but the dial function.
//
// # Concurrency
//
// It keeps no state and starts no goroutine.
package herzmysql
