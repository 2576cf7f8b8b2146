//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"herz.example/herz/faultlab/server"
)

func TestMain(m *testing.M) {
	if err := hush(); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := server.CleanUp(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// inTests are the faults of the matrix that are tried in every run of the tests, on clients with Herz; `make faults` tries all. For the drivers
// mysql and pgx those of package e2e are the same as the first four, and not tried twice.
var inTests = []struct {
	fault   string
	drivers []string // nil: all
	stride  int
}{
	{fault: "restart", drivers: []string{"lib/pq", "pgxpool", "go-redis"}},
	{fault: "half-open", drivers: []string{"lib/pq", "pgxpool", "go-redis"}},
	{fault: "hole-3.2s", drivers: []string{"lib/pq", "pgxpool", "go-redis"}},
	{fault: "frozen", drivers: []string{"lib/pq", "pgxpool", "go-redis"}},
	{fault: "moved-dropped"},
	{fault: "full"},
	{fault: "haproxy"},
	{fault: "answer-fin"},
	{fault: "answer-rst"},
	{fault: "cut-fin", stride: 17},
	{fault: "cut-prepared-rst", stride: 17},
	{fault: "tls-hole-3.2s", drivers: []string{"mysql", "pgx", "lib/pq"}},
	{fault: "tls-half-open", drivers: []string{"mysql", "pgx", "lib/pq"}},
}

func TestNoPromiseIsBrokenUnderFaults(t *testing.T) {
	for _, c := range inTests {
		t.Run(c.fault, func(t *testing.T) {
			f := faultNamed(c.fault)
			if f.play == nil {
				t.Fatalf("there is no fault %s", c.fault)
			}
			for _, p := range f.products {
				j := job{fault: f, product: p}
				for _, s := range specs {
					if s.product == p && s.herz() && (c.drivers == nil || slices.Contains(c.drivers, s.driver)) {
						j.columns = append(j.columns, s)
					}
				}
				if len(j.columns) == 0 {
					continue
				}
				t.Run(p.String(), func(t *testing.T) {
					t.Parallel()
					for _, cell := range j.try(t, max(c.stride, 1)) {
						t.Logf("%s: %s", cell.name(), cell.text())
						for _, m := range cell.Missed {
							t.Errorf("%s: %s; it was %s (%s)", cell.name(), m.Bar, m.Got, cell.Figures.Said)
						}
					}
				})
			}
		})
	}
}

// What the matrix says of Herz is worth something only when it sees the same fault in others.
func TestFaultsAreSeenInClientsWithoutHerz(t *testing.T) {
	j := job{fault: faultNamed("answer-fin"), product: postgreSQL, columns: slices.DeleteFunc(slices.Clone(specs), func(s spec) bool {
		return s.driver != "lib/pq" || s.herz()
	})}
	cells := j.try(t, 1)
	if len(cells) != 1 {
		t.Fatalf("%d cells, want that of lib/pq", len(cells))
	}
	if f := cells[0].Figures; f.Duplicates != lostAnswers || f.Acknowledged != lostAnswers {
		t.Errorf("lib/pq acknowledged %d writes and did %d twice; it is known to do both with all %d", f.Acknowledged, f.Duplicates, lostAnswers)
	}
}
