package herzhttp_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"testing"
	"time"

	"herz.example/herz/herzhttp"
	"herz.example/herz/herzsql"
)

// connector makes connections of a database that does nothing.
type connector struct{}

func (connector) Connect(context.Context) (driver.Conn, error) { return session{}, nil }
func (c connector) Driver() driver.Driver                      { return c }
func (connector) Open(string) (driver.Conn, error)             { return session{}, nil }

type session struct{}

func (session) Prepare(string) (driver.Stmt, error) { return nil, errors.New("it does nothing") }
func (session) Begin() (driver.Tx, error)           { return nil, errors.New("it does nothing") }
func (session) Close() error                        { return nil }

func TestDatabaseThatDrainsNamesTheTraceOfItsBorrower(t *testing.T) {
	for _, mode := range []struct {
		name   string
		open   func(driver.Connector, ...herzsql.Option) (*sql.DB, error)
		traces []string
	}{
		{"pooled", herzsql.OpenPooledConnector, []string{traceA}},
		{"guarded", herzsql.OpenConnector, nil}, // database/sql lends, and tells nobody
	} {
		t.Run(mode.name, func(t *testing.T) {
			who := &herzhttp.Borrowers{}
			db, err := mode.open(connector{}, herzsql.WithName("orders"), herzsql.WithObserver(who))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			held, err := db.Conn(herzhttp.WithTraceID(t.Context(), traceA))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			drained, err := herzhttp.DrainPools(ctx, slogTo(&lines{}), who, herzsql.Source(db))
			if !errors.Is(err, context.DeadlineExceeded) || len(drained[0].Lent) != 1 || len(drained[0].Left) != 1 {
				t.Fatalf("with a connection that is held: %+v, %v", drained, err)
			}
			if got := drained[0].Left[0].Traces; !slices.Equal(got, mode.traces) {
				t.Errorf("it is held by %v, want %v", got, mode.traces)
			}
			if err := held.Close(); err != nil {
				t.Error(err)
			}
			drained, err = herzhttp.DrainPools(t.Context(), slogTo(&lines{}), who, herzsql.Source(db))
			if err != nil || len(drained[0].Lent) != 0 {
				t.Errorf("after it came back: %+v, %v", drained, err)
			}
		})
	}
}
