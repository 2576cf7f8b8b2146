//go:build linux

package soak_test

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"herz.example/herz/faultlab/server"
)

var (
	length = flag.Duration("soak.for", 4*time.Second, "how long each soak runs")
	output = flag.String("soak.out", "", "file for the report as JSON; empty: none")
	seed   = flag.Uint64("soak.seed", 1, "of the random choices of the paths")
	apart  = flag.Bool("soak.apart", false, "run each soak in a process of its own, all side by side")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *apart {
		os.Exit(runApart())
	}
	// The paths are ours: the tests look at what is returned and recorded, not at what is logged.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if err := mysql.SetLogger(&mysql.NopLogger{}); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := errors.Join(server.CleanUp(), results.write(os.Stdout, *output)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}
