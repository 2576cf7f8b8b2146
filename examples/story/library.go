package story

import (
	"context"
	"database/sql"
	"errors"
)

// Account is a row of the table.
type Account struct {
	Name    string
	Balance int64
}

// ErrOverdrawn is returned by a transfer that takes more than there is.
var ErrOverdrawn = errors.New("the account has less than that")

// Library is a client library's way to work with the table.
type Library interface {
	// CreateTable makes the table; name is its key.
	CreateTable(ctx context.Context) error
	// DropTable drops the table if it is there.
	DropTable(ctx context.Context) error
	// Insert inserts all accounts together.
	Insert(ctx context.Context, list []Account) error
	// Transfer moves money in one transaction. It takes first and looks then, so that a transfer which would overdraw has something to roll
	// back; that one returns ErrOverdrawn.
	Transfer(ctx context.Context, from, to string, amount int64) error
	// Balance asks by a prepared statement, which is kept for the next call.
	Balance(ctx context.Context, name string) (int64, error)
	// Stream calls each for every account while the rows come in, and returns the error that ended them, if one did.
	Stream(ctx context.Context, each func(Account)) error
}

// Opener makes a library over a database, which stays the caller's.
type Opener func(db *sql.DB, driver string) (Library, error)
