// Command sqlx tells the examples' story through sqlx. Nothing in it depends on how the database was opened.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"herz.example/herz/examples/story"
)

func main() { story.Main("sqlx", open) }

// account is a row.
type account struct {
	Name    string `db:"name"`
	Balance int64  `db:"balance"`
}

type library struct {
	db      *sqlx.DB
	balance *sqlx.Stmt // prepared when it is first wanted
}

func open(db *sql.DB, driver string) (story.Library, error) {
	return &library{db: sqlx.NewDb(db, driver)}, nil
}

// CreateTable makes the table.
func (l *library) CreateTable(ctx context.Context) error {
	_, err := l.db.ExecContext(ctx, "CREATE TABLE herz_example_sqlx (name VARCHAR(40) PRIMARY KEY, balance BIGINT NOT NULL)")
	return err
}

// DropTable drops it, and closes the statement that was about it.
func (l *library) DropTable(ctx context.Context) error {
	var closeErr error
	if l.balance != nil {
		closeErr, l.balance = l.balance.Close(), nil
	}
	_, err := l.db.ExecContext(ctx, "DROP TABLE IF EXISTS herz_example_sqlx")
	return errors.Join(closeErr, err)
}

// Insert inserts all accounts in one statement.
func (l *library) Insert(ctx context.Context, list []story.Account) error {
	rows := make([]account, len(list))
	for i, a := range list {
		rows[i] = account(a)
	}
	_, err := l.db.NamedExecContext(ctx, "INSERT INTO herz_example_sqlx (name, balance) VALUES (:name, :balance)", rows)
	return err
}

// Transfer moves money. A rollback after the commit does nothing.
func (l *library) Transfer(ctx context.Context, from, to string, amount int64) error {
	tx, err := l.db.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := add(ctx, tx, from, -amount); err != nil {
		return err
	}
	var left account
	if err := tx.GetContext(ctx, &left, tx.Rebind("SELECT name, balance FROM herz_example_sqlx WHERE name = ?"), from); err != nil {
		return err
	}
	if left.Balance < 0 {
		return story.ErrOverdrawn
	}
	if err := add(ctx, tx, to, amount); err != nil {
		return err
	}
	return tx.Commit()
}

func add(ctx context.Context, tx *sqlx.Tx, name string, amount int64) error {
	done, err := tx.ExecContext(ctx, tx.Rebind("UPDATE herz_example_sqlx SET balance = balance + ? WHERE name = ?"), amount, name)
	if err != nil {
		return err
	}
	n, err := done.RowsAffected()
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows are called %q", n, name)
	}
	return err
}

// Balance asks for one account.
func (l *library) Balance(ctx context.Context, name string) (int64, error) {
	if l.balance == nil {
		s, err := l.db.PreparexContext(ctx, l.db.Rebind("SELECT name, balance FROM herz_example_sqlx WHERE name = ?"))
		if err != nil {
			return 0, err
		}
		l.balance = s
	}
	var a account
	err := l.balance.GetContext(ctx, &a, name)
	return a.Balance, err
}

// Stream reads row by row.
func (l *library) Stream(ctx context.Context, each func(story.Account)) error {
	rows, err := l.db.QueryxContext(ctx, "SELECT name, balance FROM herz_example_sqlx ORDER BY name")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var a account
		if err := rows.StructScan(&a); err != nil {
			return err
		}
		each(story.Account(a))
	}
	return rows.Err()
}
