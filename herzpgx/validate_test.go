package herzpgx_test

import (
	"strings"
	"testing"

	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

func TestValidationQueryIsRunOnPgxBeforeEveryLoan(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		s := newServer(t)
		db, err := open("pgx", s.dsn(), herzsql.WithValidationQuery("all"), herzsql.WithLimits(pool.Limits{MaxOpen: 1, TestOnBorrow: true}))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for range 3 {
			if _, err := db.Exec("warm"); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.executed.Load(); n != 3 { // at the dial, and before the second and the third loan
			t.Errorf("the query was run %d times", n)
		}
	})
}

func TestAnswerWithoutARowIsNoSignOfLifeForPgx(t *testing.T) {
	inBothModes(t, func(t *testing.T, open opener) {
		db, err := open("pgx", newServer(t).dsn(), herzsql.WithValidationQuery("warm"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), "no row") {
			t.Errorf("the error is %v", err)
		}
	})
}
