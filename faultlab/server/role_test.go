//go:build linux

package server_test

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"herz.example/herz/faultlab/server"
)

func openAs(t *testing.T, k server.Kind, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(k.Driver(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestDemotedServerTakesNoWritesOfAClientUntilItIsPromoted(t *testing.T) {
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			s := server.Start(t, k, server.Options{})
			ctx := context10(t)
			if _, err := open(t, s).ExecContext(ctx, "CREATE TABLE w (id INT)"); err != nil {
				t.Fatal(err)
			}
			client := openAs(t, k, s.DSNOf(server.Access{Client: true}))
			write := func() error { _, err := client.ExecContext(ctx, "INSERT INTO w VALUES (1)"); return err }
			if err := write(); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := s.Demote(ctx); err != nil {
				t.Fatal(err)
			}
			client.SetMaxIdleConns(-1) // a session of PostgreSQL may hear of it a little later
			err := write()
			var my *mysql.MySQLError
			var pg *pgconn.PgError
			if !(errors.As(err, &my) && my.Number == 1290) && !(errors.As(err, &pg) && pg.Code == "25006") {
				t.Errorf("on a read-only server: %v", err)
			}
			var n int
			if err := client.QueryRowContext(ctx, "SELECT COUNT(*) FROM w").Scan(&n); err != nil || n != 1 {
				t.Errorf("a read: %d, %v", n, err)
			}
			if err := s.Promote(ctx); err != nil {
				t.Fatal(err)
			}
			if err := write(); err != nil {
				t.Errorf("after the promotion: %v", err)
			}
		})
	}
}

func TestStandbyFollowsIsReadOnlyAndTakesOverWhenItIsPromoted(t *testing.T) {
	first := server.Start(t, server.PostgreSQL, server.Options{})
	ctx := context10(t)
	for _, q := range []string{"CREATE TABLE w (id INT)", "INSERT INTO w VALUES (1)"} {
		if _, err := open(t, first).ExecContext(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	second := server.Start(t, server.PostgreSQL, server.Options{Follow: first})
	identifier := func(s *server.Server) (id string) {
		if err := open(t, s).QueryRowContext(ctx, "SELECT system_identifier::text FROM pg_control_system()").Scan(&id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	if a, b := identifier(first), identifier(second); a != b {
		t.Errorf("the standby is another system: %s, %s", a, b)
	}
	if _, err := open(t, first).ExecContext(ctx, "INSERT INTO w VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	db := openAs(t, second.Kind, second.DSNOf(server.Access{Client: true}))
	for n := 0; n < 2; { // until it has followed
		if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM w").Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	write := func() error { _, err := db.ExecContext(ctx, "INSERT INTO w VALUES (3)"); return err }
	var refused *pgconn.PgError
	if err := write(); !errors.As(err, &refused) || refused.Code != "25006" {
		t.Errorf("a write to the standby: %v", err)
	}
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := second.Promote(ctx); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Errorf("after the promotion: %v", err)
	}
}

func TestFullServerRefusesTheNextClient(t *testing.T) {
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			const most = 10 // MariaDB takes no fewer
			s := server.Start(t, k, server.Options{MaxConnections: most})
			client := openAs(t, k, s.DSNOf(server.Access{Client: true}))
			ctx := context10(t)
			for i := range most {
				c, err := client.Conn(ctx)
				if err != nil {
					t.Fatalf("client %d of %d: %v", i+1, most, err)
				}
				defer c.Close()
			}
			_, err := client.Conn(ctx)
			var my *mysql.MySQLError
			var pg *pgconn.PgError
			if !(errors.As(err, &my) && my.Number == 1040) && !(errors.As(err, &pg) && pg.Code == "53300") {
				t.Errorf("client %d: %v; want that the server is full", most+1, err)
			}
		})
	}
}
