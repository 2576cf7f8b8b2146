package server

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// The tables of the embedded server, and their columns.
const (
	Values = "demo_values" // k, v
	Added  = "demo_added"  // request: one row for each execution
)

// tables is a provider of one database with two tables. The server's own in-memory tables give each session a copy and write
// it back whole, so that rows of concurrent sessions get lost; here an insert is counted where it happens.
type tables struct {
	values *table
	added  *table
}

func newTables(values map[string]string) *tables {
	t := &tables{values: newTable(Values, "k", "v"), added: newTable(Added, "request")}
	for k, v := range values {
		t.values.add(sql.Row{k, v})
	}
	return t
}

func (t *tables) Database(_ *sql.Context, name string) (sql.Database, error) {
	if !strings.EqualFold(name, Database) {
		return nil, sql.ErrDatabaseNotFound.New(name)
	}
	return t, nil
}

func (t *tables) HasDatabase(_ *sql.Context, name string) bool {
	return strings.EqualFold(name, Database)
}

func (t *tables) AllDatabases(*sql.Context) []sql.Database { return []sql.Database{t} }

func (t *tables) Name() string { return Database }

func (t *tables) GetTableInsensitive(_ *sql.Context, name string) (sql.Table, bool, error) {
	for _, have := range []*table{t.values, t.added} {
		if strings.EqualFold(name, have.name) {
			return have, true, nil
		}
	}
	return nil, false, nil
}

func (t *tables) GetTableNames(*sql.Context) ([]string, error) {
	return []string{t.values.name, t.added.name}, nil
}

// table is a bag of rows of short strings, which keeps each row once, with how often it was inserted.
type table struct {
	name   string
	schema sql.Schema

	// mu guards kept. Only the reading and writing of memory happens under it.
	mu   sync.Mutex
	kept map[string]*kept // by the first column
}

type kept struct {
	row   sql.Row
	times int
}

func newTable(name string, columns ...string) *table {
	t := &table{name: name, kept: map[string]*kept{}}
	for _, c := range columns {
		// The server panics on the first row unless Source is the table's name.
		t.schema = append(t.schema, &sql.Column{Name: c, Type: types.Text, Source: name})
	}
	return t
}

func (t *table) Name() string               { return t.name }
func (t *table) String() string             { return t.name }
func (t *table) Schema() sql.Schema         { return t.schema }
func (t *table) Collation() sql.CollationID { return sql.Collation_Default }

func (t *table) Partitions(*sql.Context) (sql.PartitionIter, error) { return &whole{}, nil }

func (t *table) PartitionRows(*sql.Context, sql.Partition) (sql.RowIter, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var rows []sql.Row
	for _, k := range t.kept {
		for range k.times {
			rows = append(rows, k.row)
		}
	}
	return sql.RowsToRowIter(rows...), nil
}

func (t *table) Inserter(*sql.Context) sql.RowInserter { return inserter{t} }

func (t *table) add(row sql.Row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := fmt.Sprint(row[0])
	if t.kept[first] == nil {
		t.kept[first] = &kept{row: row}
	}
	t.kept[first].times++
}

func (t *table) forget(first []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range first {
		delete(t.kept, f)
	}
}

func (t *table) counts(first []string) map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	got := make(map[string]int, len(first))
	for _, f := range first {
		if k := t.kept[f]; k != nil {
			got[f] = k.times
		}
	}
	return got
}

// inserter adds each row as it comes.
type inserter struct{ t *table }

func (i inserter) StatementBegin(*sql.Context)              {}
func (i inserter) DiscardChanges(*sql.Context, error) error { return nil }
func (i inserter) StatementComplete(*sql.Context) error     { return nil }
func (i inserter) Close(*sql.Context) error                 { return nil }
func (i inserter) Insert(_ *sql.Context, row sql.Row) error { i.t.add(row); return nil }

// whole is the one partition that a table has.
type whole struct{ done bool }

func (w *whole) Key() []byte              { return []byte("whole") }
func (w *whole) Close(*sql.Context) error { return nil }

func (w *whole) Next(*sql.Context) (sql.Partition, error) {
	if w.done {
		return nil, io.EOF
	}
	w.done = true
	return w, nil
}
