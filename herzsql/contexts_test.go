package herzsql_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"time"

	"herz.example/herz/herzsql"
	"herz.example/herz/herztest"
	"herz.example/herz/pool"
)

func TestChainOfTimeoutsLeavesNoGoroutineAndNoConnectionInUse(t *testing.T) {
	herztest.VerifyNoGoroutines(t)
	controlled(t, func(t *testing.T, _ string, open func(*server, pool.Limits) *sql.DB) {
		herztest.VerifyNoGoroutines(t)
		s := newServer(t)
		db := open(s, pool.Limits{MaxOpen: 4})
		fill(t, db, 4)
		s.silent.Store(1 << 40) // nobody is answered any more
		var wg sync.WaitGroup
		for i := range 40 { // some wait for a connection, some for an answer
			wg.Go(func() {
				outer, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				inner, cancel := context.WithTimeout(outer, time.Duration(1+i)*2*time.Millisecond)
				defer cancel()
				if _, err := db.ExecContext(inner, "add one"); err == nil {
					t.Error("a statement that nobody answers was answered")
				}
			})
		}
		wg.Wait()
		eventually(t, "no connection is in use", func() bool { return db.Stats().InUse == 0 && herzsql.Stats(db).InUse == 0 })
		_ = db.Close()
	})
}
