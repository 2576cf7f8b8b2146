// Command bun tells the examples' story through bun. Nothing in it depends on how the database was opened.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/schema"

	"herz.example/herz/examples/story"
)

func main() { story.Main("bun", open) }

// account is a row.
type account struct {
	bun.BaseModel `bun:"table:herz_example_bun"`

	Name    string `bun:"name,pk,type:varchar(40)"`
	Balance int64  `bun:"balance,notnull"`
}

type library struct {
	db      *bun.DB
	query   string // for Balance: what is prepared is the driver's SQL, with its placeholders
	balance *bun.Stmt
}

func open(db *sql.DB, driver string) (story.Library, error) {
	var dialect schema.Dialect = mysqldialect.New()
	query := "SELECT balance FROM herz_example_bun WHERE name = ?"
	if driver == "pgx" {
		dialect, query = pgdialect.New(), "SELECT balance FROM herz_example_bun WHERE name = $1"
	}
	return &library{db: bun.NewDB(db, dialect), query: query}, nil
}

// CreateTable makes the table.
func (l *library) CreateTable(ctx context.Context) error {
	_, err := l.db.NewCreateTable().Model((*account)(nil)).Exec(ctx)
	return err
}

// DropTable drops it, and closes the statement that was about it.
func (l *library) DropTable(ctx context.Context) error {
	var closeErr error
	if l.balance != nil {
		closeErr, l.balance = l.balance.Close(), nil
	}
	_, err := l.db.NewDropTable().Model((*account)(nil)).IfExists().Exec(ctx)
	return errors.Join(closeErr, err)
}

// Insert inserts all accounts in one statement.
func (l *library) Insert(ctx context.Context, list []story.Account) error {
	rows := make([]account, len(list))
	for i, a := range list {
		rows[i] = account{Name: a.Name, Balance: a.Balance}
	}
	_, err := l.db.NewInsert().Model(&rows).Exec(ctx)
	return err
}

// Transfer moves money; bun rolls back when the function returns an error.
func (l *library) Transfer(ctx context.Context, from, to string, amount int64) error {
	return l.db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := add(ctx, tx, from, -amount); err != nil {
			return err
		}
		var left account
		if err := tx.NewSelect().Model(&left).Where("name = ?", from).Scan(ctx); err != nil {
			return err
		}
		if left.Balance < 0 {
			return story.ErrOverdrawn
		}
		return add(ctx, tx, to, amount)
	})
}

func add(ctx context.Context, tx bun.Tx, name string, amount int64) error {
	done, err := tx.NewUpdate().Model((*account)(nil)).Set("balance = balance + ?", amount).Where("name = ?", name).Exec(ctx)
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
func (l *library) Balance(ctx context.Context, name string) (balance int64, err error) {
	if l.balance == nil {
		s, err := l.db.PrepareContext(ctx, l.query)
		if err != nil {
			return 0, err
		}
		l.balance = &s
	}
	err = l.balance.QueryRowContext(ctx, name).Scan(&balance)
	return balance, err
}

// Stream reads row by row.
func (l *library) Stream(ctx context.Context, each func(story.Account)) error {
	rows, err := l.db.NewSelect().Model((*account)(nil)).Order("name").Rows(ctx)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a account
		if err := l.db.ScanRow(ctx, rows, &a); err != nil {
			return err
		}
		each(story.Account{Name: a.Name, Balance: a.Balance})
	}
	return rows.Err()
}
