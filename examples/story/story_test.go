package story_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"herz.example/herz/examples/story"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a library without a database, and with faults.
type memory struct {
	balance map[string]int64

	lost, commits, forgets, short, twice, shuffled, silent bool
	fails                                                  error
}

func (m *memory) CreateTable(context.Context) error { m.balance = map[string]int64{}; return nil }
func (m *memory) DropTable(context.Context) error   { m.balance = nil; return nil }

func (m *memory) Insert(_ context.Context, list []story.Account) error {
	for i, a := range list {
		if i == len(list)-1 && m.lost {
			continue
		}
		m.balance[a.Name] = a.Balance
	}
	return nil
}

func (m *memory) Transfer(_ context.Context, from, to string, amount int64) error {
	if m.balance[from] < amount {
		if m.commits {
			m.balance[from] -= amount
		}
		if m.silent {
			return nil
		}
		return story.ErrOverdrawn
	}
	m.balance[from] -= amount
	if !m.forgets {
		m.balance[to] += amount
	}
	return nil
}

func (m *memory) Balance(_ context.Context, name string) (int64, error) { return m.balance[name], nil }

func (m *memory) Stream(_ context.Context, each func(story.Account)) error {
	var names []string
	for name := range m.balance {
		names = append(names, name)
	}
	slices.Sort(names)
	if m.shuffled {
		slices.Reverse(names)
	}
	if m.short {
		names = names[:len(names)-1]
	}
	for _, name := range names {
		each(story.Account{Name: name, Balance: m.balance[name]})
	}
	if m.twice {
		each(story.Account{Name: names[0], Balance: m.balance[names[0]]})
	}
	return m.fails
}

// command runs the program over a database that is never asked anything.
func command(m *memory, in string, args ...string) (code int, out, log string) {
	var o, l strings.Builder
	open := func(*sql.DB, string) (story.Library, error) { return m, nil }
	if args == nil {
		args = []string{"-driver", "mysql", "-dsn", "nobody@tcp(127.0.0.1:1)/nothing", "-mode", "plain"}
	}
	code = story.Command(context.Background(), "memory", args, open, strings.NewReader(in), &o, &l)
	return code, o.String(), l.String()
}

func TestWhatALibraryGetsWrongIsNeverOverlooked(t *testing.T) {
	for name, c := range map[string]struct {
		faulty *memory
		says   string
	}{
		"a row is lost":              {&memory{lost: true}, "999 rows"},
		"half of a transfer is lost": {&memory{forgets: true}, "has 100, and not 130"},
		"a rollback does not happen": {&memory{commits: true}, "has -30, and not 70"},
		"an overdraft is not told":   {&memory{silent: true}, "more than there is returned <nil>"},
		"a stream is short":          {&memory{short: true}, "999 rows"},
		"a row comes twice":          {&memory{twice: true}, `row 1000 is "account 0000"`},
		"rows are out of order":      {&memory{shuffled: true}, `row 0 is "account 0999"`},
		"a stream ends by an error":  {&memory{fails: errors.New("cut")}, "cut"},
	} {
		code, _, log := command(c.faulty, "")
		if code != 1 || !strings.Contains(log, c.says) {
			t.Errorf("%s: exit code %d, said %q; want 1 and %q", name, code, log, c.says)
		}
		if c.faulty.balance != nil {
			t.Errorf("%s: the table was left behind", name)
		}
	}
}

func TestEachStepSaysWhatItSaw(t *testing.T) {
	code, out, log := command(&memory{}, "")
	if code != 0 || log != "" {
		t.Fatalf("exit code %d: %s", code, log)
	}
	for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if !strings.HasPrefix(line, fmt.Sprintf("%-9s ", story.Steps[i])) {
			t.Errorf("line %d is %q, and not of step %q", i, line, story.Steps[i])
		}
	}
}

func TestWaitsForEnterBeforeEveryStepButTheFirst(t *testing.T) {
	args := []string{"-driver", "pgx", "-dsn", "postgres://nobody@127.0.0.1:1/nothing", "-mode", "plain", "-wait"}
	if code, _, log := command(&memory{}, strings.Repeat("\n", len(story.Steps)-1), args...); code != 0 {
		t.Errorf("with all Enters: exit code %d: %s", code, log)
	}
	if code, _, log := command(&memory{}, strings.Repeat("\n", len(story.Steps)-2), args...); code != 1 || !strings.Contains(log, "EOF") {
		t.Errorf("with one Enter less: exit code %d: %s", code, log)
	}
}

func TestWrongUsageEndsWithTwoAndHelpWithZero(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"-driver mysql", 2, "-dsn"},
		{"-dsn x -driver oracle", 2, `"oracle" is unknown; known are ["mysql" "pgx"]`},
		{"-dsn x -driver pgx -mode fast", 2, `"fast" is unknown; known are ["plain" "guarded" "pooled"]`},
		{"-dsn x -driver pgx stray", 2, "stray"},
		{"-nonsense", 2, "nonsense"},
		{"-help", 0, "go run ./examples/memory"},
		{"-dsn nonsense -driver mysql -mode guarded", 1, "invalid DSN"},
	} {
		if code, _, log := command(&memory{}, "", strings.Fields(c.args)...); code != c.code || !strings.Contains(log, c.says) {
			t.Errorf("%s: exit code %d, said %q", c.args, code, log)
		}
	}
}
