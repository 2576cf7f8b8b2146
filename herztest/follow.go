package herztest

import (
	"context"
	"database/sql"
	"testing"
	"time"
)

// Follow uses the database until arrived says that it reaches where it should, and fails the test when that takes longer than limit or
// when a statement fails meanwhile.
func Follow(t testing.TB, db *sql.DB, statement string, limit time.Duration, arrived func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for begun := time.Now(); !arrived(); {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatalf("after %v: %v", time.Since(begun).Round(time.Millisecond), err)
		}
	}
}
