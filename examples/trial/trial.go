//go:build linux

package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"herz.example/herz/examples/story"
	"herz.example/herz/faultlab/server"
)

const (
	idle     = 1100 * time.Millisecond // longer than the second after which a connection is pinged before it is lent
	callMost = 2 * time.Minute         // bounds one telling of the story
)

// Main is the TestMain of an example.
func Main(m *testing.M, o ...goleak.Option) {
	// The faults are ours: what is logged about them is of no interest here.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	quiet := mysql.SetLogger(&mysql.NopLogger{})
	goleak.VerifyTestMain(m, append(o, goleak.Cleanup(func(code int) {
		if err := errors.Join(quiet, server.CleanUp()); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))...)
}

// OnEachServer runs a test on a server of each product.
func OnEachServer(t *testing.T, test func(t *testing.T, s *server.Server)) {
	t.Helper()
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			test(t, server.Start(t, k, server.Options{}))
		})
	}
}

// InEveryMode tells the story in every mode, and wants it to be the same.
func InEveryMode(t *testing.T, open story.Opener) {
	t.Helper()
	OnEachServer(t, func(t *testing.T, s *server.Server) {
		t.Helper()
		var first string
		for _, mode := range story.Modes {
			told := told(t, s, mode, open, nil)
			if first == "" {
				first = told
			}
			if told != first {
				t.Errorf("%s says\n%s\nand %s says\n%s", mode, told, story.Modes[0], first)
			}
		}
	})
}

// before are the steps before which the server is restarted: a transaction, a statement that was prepared earlier, and a stream each meet
// connections whose server has gone.
var before = []string{"rollback", "again", "stream"}

// ThroughRestarts tells the story in both modes of Herz while the server is killed and restarted between steps, when connections have been idle
// for a second. The story is the same, and no step fails.
func ThroughRestarts(t *testing.T, open story.Opener) {
	t.Helper()
	OnEachServer(t, func(t *testing.T, s *server.Server) {
		t.Helper()
		want := told(t, s, story.Modes[0], open, nil)
		for _, mode := range story.Modes[1:] {
			restarts := 0
			got := told(t, s, mode, open, func(step string) error {
				if !slices.Contains(before, step) {
					return nil
				}
				restarts++
				time.Sleep(idle)
				if err := s.Kill(); err != nil {
					return err
				}
				return s.Restart()
			})
			if got != want {
				t.Errorf("%s, with restarts, says\n%s\nand without\n%s", mode, got, want)
			}
			if restarts != len(before) {
				t.Errorf("%s: the server was restarted %d times, and not %d", mode, restarts, len(before))
			}
		}
	})
}

// told runs the program and returns what it says. Between, if it is not nil, is called before each step but the first.
func told(t *testing.T, s *server.Server, mode string, open story.Opener, between func(step string) error) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callMost)
	defer cancel()
	args := []string{"-driver", s.Kind.Driver(), "-dsn", s.DSN(), "-mode", mode}
	var in io.Reader = strings.NewReader("")
	if between != nil {
		args, in = append(args, "-wait"), &hand{between: between}
	}
	var out, log strings.Builder
	if code := story.Command(ctx, "example", args, open, in, &out, &log); code != 0 {
		t.Fatalf("%s: exit code %d: %s", mode, code, &log)
	}
	if lines := strings.Count(out.String(), "\n"); lines != len(story.Steps) {
		t.Fatalf("%s said %d lines of %d:\n%s", mode, lines, len(story.Steps), &out)
	}
	return out.String()
}

// hand is that of a person who does something before each press of Enter.
type hand struct {
	between func(step string) error
	step    int
}

// Read gives one line break. The program reads the next when it waits for it.
func (h *hand) Read(p []byte) (int, error) {
	h.step++
	if err := h.between(story.Steps[h.step]); err != nil {
		return 0, err
	}
	return copy(p, "\n"), nil
}
