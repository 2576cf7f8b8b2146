package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Steps are the names of the steps, in their order.
var Steps = []string{"create", "insert", "transfer", "rollback", "prepared", "again", "stream", "drop"}

const (
	accounts = 1000
	opening  = 100 // on each account
	ann      = "account 0000"
	bob      = "account 0001"
	moved    = 30
	asked    = 25               // accounts whose balance is asked
	stepTime = 20 * time.Second // most for one step
)

func name(i int) string { return fmt.Sprintf("account %04d", i) }

// tell goes through the steps. The table is dropped also when one fails.
func tell(ctx context.Context, lib Library, before func(step string) error, out io.Writer) (err error) {
	t := &teller{lib: lib}
	steps := map[string]func(context.Context) (string, error){
		"create": t.create, "insert": t.insert, "transfer": t.transfer, "rollback": t.rollback,
		"prepared": t.balances, "again": t.balances, "stream": t.stream, "drop": t.drop,
	}
	defer func() {
		if t.made {
			_, dropErr := t.drop(context.WithoutCancel(ctx))
			err = errors.Join(err, dropErr)
		}
	}()
	for _, step := range Steps {
		if err := before(step); err != nil {
			return err
		}
		saw, err := within(ctx, steps[step])
		if err != nil {
			return fmt.Errorf("step %q: %w", step, err)
		}
		if _, err := fmt.Fprintf(out, "%-9s %s\n", step, saw); err != nil {
			return err
		}
	}
	return nil
}

func within(ctx context.Context, step func(context.Context) (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	return step(ctx)
}

type teller struct {
	lib  Library
	made bool // the table is there
}

func (t *teller) create(ctx context.Context) (string, error) {
	if err := t.lib.DropTable(ctx); err != nil { // of a run that was killed
		return "", err
	}
	t.made = true
	return "the table is there", t.lib.CreateTable(ctx)
}

func (t *teller) insert(ctx context.Context) (string, error) {
	list := make([]Account, accounts)
	for i := range list {
		list[i] = Account{Name: name(i), Balance: opening}
	}
	if err := t.lib.Insert(ctx, list); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d accounts with %d each", accounts, opening), nil
}

func (t *teller) transfer(ctx context.Context) (string, error) {
	if err := t.lib.Transfer(ctx, ann, bob, moved); err != nil {
		return "", err
	}
	return t.pair(ctx)
}

func (t *teller) rollback(ctx context.Context) (string, error) {
	err := t.lib.Transfer(ctx, ann, bob, opening)
	if !errors.Is(err, ErrOverdrawn) {
		return "", fmt.Errorf("a transfer of more than there is returned %v, and not %v", err, ErrOverdrawn) //nolint:errorlint // it need not be one
	}
	return t.pair(ctx)
}

// pair asks for both accounts that money moved between. After every step they have the same.
func (t *teller) pair(ctx context.Context) (string, error) {
	for who, want := range map[string]int64{ann: opening - moved, bob: opening + moved} {
		got, err := t.lib.Balance(ctx, who)
		if err != nil {
			return "", fmt.Errorf("ask for %s: %w", who, err)
		}
		if got != want {
			return "", fmt.Errorf("%s has %d, and not %d", who, got, want)
		}
	}
	return fmt.Sprintf("%s has %d, %s has %d", ann, opening-moved, bob, opening+moved), nil
}

func (t *teller) balances(ctx context.Context) (string, error) {
	if _, err := t.pair(ctx); err != nil {
		return "", err
	}
	for i := 2; i < asked; i++ {
		got, err := t.lib.Balance(ctx, name(i))
		if err != nil {
			return "", fmt.Errorf("ask for %s: %w", name(i), err)
		}
		if got != opening {
			return "", fmt.Errorf("%s has %d, and not %d", name(i), got, opening)
		}
	}
	return fmt.Sprintf("%d balances by one statement", asked), nil
}

func (t *teller) stream(ctx context.Context) (string, error) {
	rows, sum := 0, int64(0)
	var wrong error
	err := t.lib.Stream(ctx, func(a Account) {
		if a.Name != name(rows) && wrong == nil {
			wrong = fmt.Errorf("row %d is %q, and not %q", rows, a.Name, name(rows))
		}
		rows++
		sum += a.Balance
	})
	switch {
	case err != nil:
		return "", err
	case wrong != nil:
		return "", wrong
	case rows != accounts || sum != accounts*opening:
		return "", fmt.Errorf("%d rows with %d in all, and not %d with %d", rows, sum, accounts, accounts*opening)
	}
	return fmt.Sprintf("%d rows, %d in all", rows, sum), nil
}

func (t *teller) drop(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	if err := t.lib.DropTable(ctx); err != nil {
		return "", fmt.Errorf("drop the table: %w", err)
	}
	t.made = false
	return "the table is gone", nil
}
