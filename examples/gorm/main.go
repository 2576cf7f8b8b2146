// Command gorm tells the examples' story through gorm. Nothing in it depends on how the database was opened.
package main

import (
	"context"
	"database/sql"
	"fmt"

	"gorm.io/driver/mysql"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"herz.example/herz/examples/story"
)

func main() { story.Main("gorm", open) }

// account is a row.
type account struct {
	Name    string `gorm:"primaryKey;size:40"`
	Balance int64
}

// TableName is where gorm puts accounts.
func (account) TableName() string { return "herz_example_gorm" }

type library struct{ db *gorm.DB }

// open puts gorm over the database. PrepareStmt makes gorm prepare every statement once and keep it.
func open(db *sql.DB, driver string) (story.Library, error) {
	dialect := mysql.New(mysql.Config{Conn: db})
	if driver == "pgx" {
		dialect = postgres.New(postgres.Config{Conn: db})
	}
	g, err := gorm.Open(dialect, &gorm.Config{PrepareStmt: true, Logger: logger.Discard})
	if err != nil {
		return nil, err
	}
	return &library{g}, nil
}

// CreateTable makes the table.
func (l *library) CreateTable(ctx context.Context) error {
	return l.db.WithContext(ctx).AutoMigrate(&account{})
}

// DropTable drops it.
func (l *library) DropTable(ctx context.Context) error {
	return l.db.WithContext(ctx).Migrator().DropTable(&account{})
}

// Insert inserts all accounts in one statement.
func (l *library) Insert(ctx context.Context, list []story.Account) error {
	rows := make([]account, len(list))
	for i, a := range list {
		rows[i] = account(a)
	}
	return l.db.WithContext(ctx).Create(&rows).Error
}

// Transfer moves money; gorm rolls back when the function returns an error.
func (l *library) Transfer(ctx context.Context, from, to string, amount int64) error {
	return l.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := add(tx, from, -amount); err != nil {
			return err
		}
		var left account
		if err := tx.Take(&left, "name = ?", from).Error; err != nil {
			return err
		}
		if left.Balance < 0 {
			return story.ErrOverdrawn
		}
		return add(tx, to, amount)
	})
}

func add(tx *gorm.DB, name string, amount int64) error {
	done := tx.Model(&account{}).Where("name = ?", name).Update("balance", gorm.Expr("balance + ?", amount))
	if done.Error == nil && done.RowsAffected != 1 {
		return fmt.Errorf("%d rows are called %q", done.RowsAffected, name)
	}
	return done.Error
}

// Balance asks for one account.
func (l *library) Balance(ctx context.Context, name string) (int64, error) {
	var a account
	err := l.db.WithContext(ctx).Take(&a, "name = ?", name).Error
	return a.Balance, err
}

// Stream reads row by row.
func (l *library) Stream(ctx context.Context, each func(story.Account)) error {
	rows, err := l.db.WithContext(ctx).Model(&account{}).Order("name").Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a account
		if err := l.db.ScanRows(rows, &a); err != nil {
			return err
		}
		each(story.Account(a))
	}
	return rows.Err()
}
