package herzsql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// perform uses a database in every way that depends on an optional interface, and says what came of it.
func perform(db *sql.DB) []string {
	ctx := context.Background()
	var out []string
	note := func(what string, err error) {
		out = append(out, fmt.Sprint(what, ": ", err))
	}
	note("ping", db.PingContext(ctx))
	_, err := db.ExecContext(ctx, "insert", 1, "two")
	note("exec", err)
	_, err = db.ExecContext(ctx, "insert", sql.Named("a", 1))
	note("named", err)
	st, err := db.PrepareContext(ctx, "select")
	note("prepare", err)
	_, err = st.ExecContext(ctx, 7)
	note("prepared exec", err)
	note("close", st.Close())
	tx, err := db.BeginTx(ctx, nil)
	note("begin", err)
	_, err = tx.ExecContext(ctx, "insert", nil)
	note("exec in transaction", err)
	note("commit", tx.Commit())
	rows, err := db.QueryContext(ctx, "select", 5)
	note("query", err)
	types, err := rows.ColumnTypes()
	note("types", err)
	for _, c := range types {
		length, hasLength := c.Length()
		precision, scale, hasPrecision := c.DecimalSize()
		nullable, hasNullable := c.Nullable()
		note(fmt.Sprint(c.Name(), c.ScanType(), c.DatabaseTypeName(), length, hasLength, precision, scale, hasPrecision, nullable, hasNullable), nil)
	}
	for rows.Next() {
		var n string
		note("row", rows.Scan(&n))
		out = append(out, n)
	}
	note("another result", fmt.Errorf("%v", rows.NextResultSet()))
	note("rows", rows.Err())
	note("close rows", rows.Close())
	return out
}

func TestDatabaseBehavesAsWithoutHerz(t *testing.T) {
	for name, set := range map[string]func(c *connector){
		"every interface":       func(c *connector) { c.typed = true },
		"no interface":          func(c *connector) { c.plain = true },
		"old interfaces":        func(c *connector) { c.legacy = true },
		"columns convert":       func(c *connector) { c.column = true },
		"plain columns convert": func(c *connector) { c.column, c.plain = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			make := func() *connector {
				c := newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})
				set(c)
				return c
			}
			stock := sql.OpenDB(make())
			want := perform(stock)
			_ = stock.Close()
			wantSaid := s.saidInFull(t)
			guarded, err := herzsql.OpenConnector(make())
			if err != nil {
				t.Fatal(err)
			}
			got := perform(guarded)
			_ = guarded.Close()
			if gotSaid := s.saidInFull(t); !slices.Equal(got, want) || !slices.Equal(gotSaid, wantSaid) {
				t.Errorf("guarded:\n%q\n%q\nstock:\n%q\n%q", got, gotSaid, want, wantSaid)
			}
			pooled, err := herzsql.OpenPooledConnector(make(), herzsql.WithLimits(pool.Limits{MaxOpen: 1}))
			if err != nil {
				t.Fatal(err)
			}
			got = perform(pooled)
			_ = pooled.Close()
			// Statements rest on their connection instead of being closed and prepared anew.
			resting := func(lines []string) []string {
				seen := map[string]bool{}
				return slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
					again := seen[l]
					seen[l] = strings.HasPrefix(l, "prepare ")
					return strings.HasPrefix(l, "unprepare") || again
				})
			}
			if gotSaid := s.saidInFull(t); !slices.Equal(got, want) || !slices.Equal(resting(gotSaid), resting(wantSaid)) {
				t.Errorf("pooled:\n%q\n%q\nstock:\n%q\n%q", got, gotSaid, want, wantSaid)
			}
		})
	}
}

func TestUnsupportedTransactionIsRefusedAsByDatabaseSQL(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		c := newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})
		c.plain = true
		open := herzsql.OpenConnector
		if m.name == "pooled" {
			open = herzsql.OpenPooledConnector
		}
		db, err := open(c)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, o := range []sql.TxOptions{{Isolation: sql.LevelSerializable}, {ReadOnly: true}} {
			if _, err := db.BeginTx(context.Background(), &o); err == nil {
				t.Errorf("%+v was taken by a driver that cannot", o)
			}
		}
	})
}

func TestUnwrapGivesTheDriversOwnConnection(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db := m.db(t, s, pool.Limits{})
		c, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		err = c.Raw(func(driverConn any) error {
			if _, ok := herzsql.Unwrap(driverConn).(*full); !ok {
				t.Errorf("unwrapped to %T", herzsql.Unwrap(driverConn))
			}
			for name, ok := range map[string]bool{
				"Execer": is[driver.Execer](driverConn), "Queryer": is[driver.Queryer](driverConn), "ExecerContext": is[driver.ExecerContext](driverConn),
				"QueryerContext": is[driver.QueryerContext](driverConn), "ConnPrepareContext": is[driver.ConnPrepareContext](driverConn),
				"ConnBeginTx": is[driver.ConnBeginTx](driverConn), "Pinger": is[driver.Pinger](driverConn), "Validator": is[driver.Validator](driverConn),
				"SessionResetter": is[driver.SessionResetter](driverConn), "NamedValueChecker": is[driver.NamedValueChecker](driverConn),
			} {
				if !ok {
					t.Errorf("the wrapper lacks driver.%s", name)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if herzsql.Unwrap(7) != 7 {
			t.Error("what is not wrapped was changed")
		}
	})
}

func is[T any](v any) bool { _, ok := v.(T); return ok }

func TestSessionIsResetOnceForEachReuse(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		c := newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})
		open := herzsql.OpenConnector
		if m.name == "pooled" {
			open = herzsql.OpenPooledConnector
		}
		db, err := open(c, herzsql.WithLimits(pool.Limits{MaxOpen: 1}))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for range 4 {
			if _, err := db.Exec("add one"); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.resets.Load(); n != 3 {
			t.Errorf("%d resets for three reuses", n)
		}
	})
}

func TestPooledLeaseIsNeverHoarded(t *testing.T) {
	s := newServer(t)
	db := modes[1].db(t, s, pool.Limits{MaxOpen: 3})
	db.SetMaxIdleConns(10) // as an ORM does
	fill(t, db, 3)
	if got := herzsql.Stats(db); got.Idle != 3 || got.InUse != 0 {
		t.Errorf("idle leases stayed with database/sql: %+v", got)
	}
	if got := db.Stats().Idle; got != 0 {
		t.Errorf("database/sql keeps %d leases", got)
	}
}

func TestPooledModeWorksUnderALimitOfDatabaseSQL(t *testing.T) {
	s := newServer(t)
	db := modes[1].db(t, s, pool.Limits{MaxOpen: 3})
	db.SetMaxOpenConns(1)
	done := make(chan error)
	for range 8 {
		go func() {
			_, err := db.Exec("add one")
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestPooledStatementIsPreparedOnceOnAConnection(t *testing.T) {
	s := newServer(t)
	db := modes[1].db(t, s, pool.Limits{MaxOpen: 1})
	st, err := db.Prepare("add one")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := st.Exec(); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if n := s.prepared.Load(); n != 1 {
		t.Errorf("prepared %d times for 20 uses on one connection", n)
	}
	for i := range 200 {
		one, err := db.Prepare(fmt.Sprint("other ", i))
		if err != nil {
			t.Fatal(err)
		}
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("last"); err != nil {
		t.Fatal(err)
	}
	if left := s.prepared.Load() - s.closedSt.Load(); left > 64 {
		t.Errorf("%d statements rest on one connection", left)
	}
}

func TestFailedStatementDoesNotRest(t *testing.T) {
	s := newServer(t)
	db := modes[1].db(t, s, pool.Limits{MaxOpen: 1})
	st, err := db.Prepare("add one")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s.reject.Store(true)
	if _, err := st.Exec(); !errors.Is(err, errWrong) {
		t.Fatalf("the error is %v", err)
	}
	s.reject.Store(false)
	if _, err := st.Exec(); err != nil {
		t.Fatal(err)
	}
	if n, c := s.prepared.Load(), s.accepted.Load(); n != 2 || c != 1 {
		t.Errorf("prepared %d times on %d connections, not 2 on 1: what failed may have changed on the server", n, c)
	}
}
