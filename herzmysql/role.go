package herzmysql

import (
	"context"
	"errors"
	"strings"

	"github.com/go-sql-driver/mysql"

	"herz.example/herz/herzsql"
)

// whoQuery works on MySQL and on MariaDB, which has no server_uuid and ignores comments that begin with 50700 to 99999 (MariaDB
// documentation, "Comment Syntax"). innodb_read_only is how replicas of Amazon Aurora tell their role.
const whoQuery = "SELECT CONCAT_WS('/', @@hostname, @@port, @@server_id /*!50700 , @@server_uuid */), " +
	"@@global.read_only OR @@global.innodb_read_only"

func identity(ctx context.Context, c any) (herzsql.Server, error) {
	return herzsql.AskServer(ctx, c, whoQuery)
}

// Errors by which a server refuses to write (MySQL Reference Manual, "Server Error Message Reference").
const (
	optionPreventsStatement   = 1290 // ER_OPTION_PREVENTS_STATEMENT, also for options that have to do with other things
	cantExecuteInReadOnly     = 1792 // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
	readOnlyMode              = 1836 // ER_READ_ONLY_MODE
	textOfOptionAboutReadOnly = "read-only"
)

// wrongRole names the errors of a server that refuses to write because of its role.
func wrongRole(err error) bool {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Number {
	case cantExecuteInReadOnly, readOnlyMode:
		return true
	case optionPreventsStatement:
		return strings.Contains(strings.ReplaceAll(e.Message, "_", "-"), textOfOptionAboutReadOnly)
	default:
		return false
	}
}
