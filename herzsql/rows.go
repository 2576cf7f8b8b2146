package herzsql

import (
	"database/sql/driver"
	"errors"
	"io"
	"reflect"

	"herz.example/herz/guard"
)

// wrappedRows puts the facts of the guard in the place of what the driver hides while rows are read. Where the driver's
// rows lack an optional interface, the method answers what database/sql assumes without it.
type wrappedRows struct {
	w     *wrapped
	inner driver.Rows
	limit *limit
}

// answer gives what a query returned, under the limit that lasts until the rows are closed. It wraps only where there is something to put right.
func (w *wrapped) answer(r driver.Rows, l *limit, gone bool, err error) (driver.Rows, error) {
	if err != nil {
		return nil, l.done(w.after(gone, lasts, err))
	}
	if l == nil && (w.cuts == nil || w.g == nil) {
		return r, nil
	}
	return &wrappedRows{w: w, inner: r, limit: l}, nil
}

// Unwrap gives the driver's own rows.
func (r *wrappedRows) Unwrap() driver.Rows { return r.inner }

// Columns names the columns.
func (r *wrappedRows) Columns() []string { return r.inner.Columns() }

// Close ends the result.
func (r *wrappedRows) Close() error {
	gone, l := r.w.gone(), r.limit
	r.limit = nil
	return l.done(r.w.after(gone, lasts, r.inner.Close()))
}

// Next reads a row; io.EOF after the last one.
func (r *wrappedRows) Next(dest []driver.Value) error {
	err := r.inner.Next(dest)
	if err == nil || err == io.EOF { //nolint:errorlint // the contract of driver.Rows is io.EOF itself
		return err
	}
	return r.lost(err)
}

// lost judges the error that ended the rows.
func (r *wrappedRows) lost(err error) error {
	err = r.w.after(false, lasts, err)
	var facts *guard.AmbiguousError
	if r.w.cuts != nil && !r.limit.past() && errors.As(err, &facts) {
		r.w.cuts.follow(facts)
	}
	return r.limit.tell(err)
}

// HasNextResultSet reports whether another result follows.
func (r *wrappedRows) HasNextResultSet() bool {
	n, ok := r.inner.(driver.RowsNextResultSet)
	return ok && n.HasNextResultSet()
}

// NextResultSet goes to the next result; io.EOF when there is none.
func (r *wrappedRows) NextResultSet() error {
	n, ok := r.inner.(driver.RowsNextResultSet)
	if !ok {
		return io.EOF
	}
	err := n.NextResultSet()
	if err == nil || err == io.EOF { //nolint:errorlint // as in Next
		return err
	}
	return r.lost(err)
}

// ColumnTypeScanType is the Go type to scan a column into.
func (r *wrappedRows) ColumnTypeScanType(i int) reflect.Type {
	if c, ok := r.inner.(driver.RowsColumnTypeScanType); ok {
		return c.ColumnTypeScanType(i)
	}
	return reflect.TypeFor[any]()
}

// ColumnTypeDatabaseTypeName is the database's name of a column's type.
func (r *wrappedRows) ColumnTypeDatabaseTypeName(i int) string {
	if c, ok := r.inner.(driver.RowsColumnTypeDatabaseTypeName); ok {
		return c.ColumnTypeDatabaseTypeName(i)
	}
	return ""
}

// ColumnTypeLength is the length of a column of variable length.
func (r *wrappedRows) ColumnTypeLength(i int) (int64, bool) {
	if c, ok := r.inner.(driver.RowsColumnTypeLength); ok {
		return c.ColumnTypeLength(i)
	}
	return 0, false
}

// ColumnTypeNullable tells whether a column may be null.
func (r *wrappedRows) ColumnTypeNullable(i int) (nullable, ok bool) {
	if c, has := r.inner.(driver.RowsColumnTypeNullable); has {
		return c.ColumnTypeNullable(i)
	}
	return false, false
}

// ColumnTypePrecisionScale is the precision and scale of a decimal column.
func (r *wrappedRows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	if c, has := r.inner.(driver.RowsColumnTypePrecisionScale); has {
		return c.ColumnTypePrecisionScale(i)
	}
	return 0, 0, false
}
