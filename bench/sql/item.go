package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"herz.example/herz/faultlab/server"
)

const (
	items = 1000 // rows of the table
	asked = 377  // the one that is asked for
)

// answer is what the table has under asked.
var answer = value(asked)

func value(id int) string { return fmt.Sprintf("item %d is %d bytes long, as short texts are", id, 40) }

// simple is the query as a text without arguments, which every driver sends in one round trip.
var simple = fmt.Sprintf("SELECT v FROM item WHERE id = %d", asked)

// queryOf is the same query with a placeholder, to be prepared.
func queryOf(k server.Kind) string {
	if k == server.PostgreSQL {
		return "SELECT v FROM item WHERE id = $1"
	}
	return "SELECT v FROM item WHERE id = ?"
}

// fill makes the table, and tells the version of the server.
func fill(ctx context.Context, k server.Kind, dsn string) (version string, err error) {
	db, err := sql.Open(k.Driver(), dsn)
	if err != nil {
		return "", err
	}
	defer db.Close()
	values := make([]string, items)
	for i := range values {
		values[i] = fmt.Sprintf("(%d, '%s')", i, value(i))
	}
	for _, statement := range []string{
		"CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(80) NOT NULL)",
		"INSERT INTO item VALUES " + strings.Join(values, ", "),
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return "", fmt.Errorf("%.40s…: %w", statement, err)
		}
	}
	if err := db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return "", fmt.Errorf("ask %v for its version: %w", k, err)
	}
	version = strings.TrimPrefix(version, k.String()+" ")
	version, _, _ = strings.Cut(version, " ")
	return version, nil
}
