package herzsql_test

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// countRows reads like a program that was written in a hurry, or, with look, like a good one.
func countRows(t *testing.T, db *sql.DB, look func(error)) {
	t.Helper()
	rows, err := db.Query("all")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
	}
	if look != nil {
		look(rows.Err())
	}
}

// collect has the errors that were thrown away found.
func collect(t *testing.T, what string, ok func() bool) {
	t.Helper()
	eventually(t, what, func() bool {
		runtime.GC()
		return ok()
	})
}

// collectAll returns when an error that was thrown away now has been found, and with it all that were thrown away before.
func collectAll(t *testing.T) {
	t.Helper()
	gone := make(chan struct{})
	new(guard.AmbiguousError).IfUnseen(func() { close(gone) })
	collect(t, "garbage is collected", func() bool {
		select {
		case <-gone:
			return true
		default:
			return false
		}
	})
}

func TestShortResultWhoseErrorNobodyAskedIsNamedByItsPlace(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		out := new(page)
		db, err := m.open("fake", s.listener.Addr().String(), herzsql.WithName("orders"), herzsql.WithLogger(slog.New(slog.NewTextHandler(out, nil))))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		view := herzsql.Source(db)
		if got := view.Unasked(); got == nil || len(got) != 0 {
			t.Errorf("before anything happened: %#v", got)
		}
		countRows(t, db, nil)
		s.half.Store(true)
		for range 3 {
			countRows(t, db, nil)
		}
		collect(t, "three results are known to have been cut", func() bool {
			got := view.Unasked()
			return len(got) == 1 && got[0].Count == 3
		})
		at := view.Unasked()[0]
		if !strings.HasPrefix(at.Site, "herz.example/herz/herzsql_test.countRows (cuts_test.go:") {
			t.Errorf("the place is %q", at.Site)
		}
		if at.Death.Cause != conn.PeerFIN || at.Death.Pool != "orders" || at.Death.Peer != s.listener.Addr().String() || at.Last.IsZero() {
			t.Errorf("the facts are %+v", at)
		}
		eventually(t, "a line in the log for each", func() bool { return strings.Count(out.String(), "nobody looked at its error") == 3 })
		for _, fact := range []string{"level=WARN", "herzsql_test.countRows (cuts_test.go:", "pool=orders", "cause=peer_fin", "rows.Err()"} {
			if !strings.Contains(out.String(), fact) {
				t.Errorf("no %s in %s", fact, out)
			}
		}
	})
}

func TestShortResultWhoseErrorWasLookedAtIsNobodysFault(t *testing.T) {
	looks := map[string]func(error){
		"printed":          func(err error) { _ = fmt.Sprint(err) },
		"compared":         func(err error) { _ = errors.Is(err, guard.ErrAmbiguous) },
		"asked for safety": func(err error) { _ = guard.SafeToRetry(err) },
		"taken apart": func(err error) {
			var facts *guard.AmbiguousError
			if !errors.As(err, &facts) {
				t.Errorf("no facts in %v", err)
			}
		},
		"wrapped": func(err error) { _ = fmt.Errorf("all: %w", err).Error() },
	}
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db := m.db(t, s, pool.Limits{})
		s.half.Store(true)
		for name, look := range looks {
			countRows(t, db, func(err error) {
				if err == nil {
					t.Errorf("%s: no error", name)
				}
				look(err)
			})
		}
		var n string
		if err := db.QueryRow("headed").Scan(&n); err == nil {
			t.Error("QueryRow: no error")
		}
		collectAll(t)
		if got := herzsql.Source(db).Unasked(); len(got) != 0 {
			t.Errorf("accused: %+v", got)
		}
	})
}

func TestWholeResultIsNeverCalledShort(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db := m.db(t, s, pool.Limits{})
		countRows(t, db, nil)
		rows, err := db.Query("all") // given up by the caller after the first row
		if err != nil {
			t.Fatal(err)
		}
		rows.Next()
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		collectAll(t)
		if got := herzsql.Source(db).Unasked(); len(got) != 0 {
			t.Errorf("accused: %+v", got)
		}
	})
}
