package herzpgx_test

import (
	"database/sql"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

func readBlindly(t *testing.T, db *sql.DB) error {
	t.Helper()
	rows, err := db.Query("all")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

func TestShortResultWhoseErrorNobodyAskedIsNamedByItsPlace(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db := database(t, open, s, pool.Limits{})
		s.cut.Store(true)
		_ = fmt.Sprint(readBlindly(t, db))
		if err := readBlindly(t, db); err == nil {
			t.Error("a short result without an error")
		}
		s.cut.Store(false)
		deadline := time.Now().Add(5 * time.Second)
		for len(herzsql.Source(db).Unasked()) == 0 && time.Now().Before(deadline) {
			// In guarded mode pgx keeps the error on its connection, which rests in database/sql until it is about to be used again.
			if err := db.Ping(); err != nil {
				t.Fatal(err)
			}
			runtime.GC()
			runtime.Gosched()
		}
		got := herzsql.Source(db).Unasked()
		if len(got) != 1 || got[0].Count != 1 || got[0].Death.Cause != conn.PeerFIN ||
			!strings.HasPrefix(got[0].Site, "herz.example/herz/herzpgx_test.readBlindly (cuts_test.go:") {
			t.Errorf("two results were cut, one error was looked at: %+v", got)
		}
	})
}
