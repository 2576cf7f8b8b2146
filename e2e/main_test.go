//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"herz.example/herz/faultlab/server"
)

func TestMain(m *testing.M) {
	// The faults are ours: the tests look at what is returned and recorded, not at what is logged.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if err := mysql.SetLogger(&mysql.NopLogger{}); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := errors.Join(server.CleanUp(), os.RemoveAll(command.dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}
