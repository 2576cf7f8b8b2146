package main

import (
	"fmt"
	"strings"
	"time"

	"herz.example/herz/faultlab/server"
)

// connections is how many connections every subject has, no more and no fewer.
const connections = 10

// row is one case: how many goroutines ask which server, and how.
type row struct {
	Name       string `json:"name"`
	Server     string `json:"server"`
	Goroutines int    `json:"goroutines"`
	Prepared   bool   `json:"prepared"`

	kind server.Kind
}

// rows is the list of cases.
func rows() []row {
	var list []row
	for _, k := range server.Kinds {
		for _, g := range []int{16, 64} {
			for _, prepared := range []bool{false, true} {
				how := "simple"
				if prepared {
					how = "prepared"
				}
				list = append(list, row{Name: fmt.Sprintf("%v, %d g, %s", k, g, how), Server: k.String(), Goroutines: g, Prepared: prepared, kind: k})
			}
		}
	}
	return list
}

func matching(list []row, part string) []row {
	var kept []row
	for _, r := range list {
		if strings.Contains(r.Name, part) {
			kept = append(kept, r)
		}
	}
	return kept
}

// plan is how long a run is.
type plan struct {
	rounds int           // of each row; in each round every subject has one window
	block  int           // rounds of one row that follow each other
	window time.Duration // how long the goroutines ask
	warm   time.Duration // the same, before a block, uncounted: a connection that was idle for a second is pinged first
	rare   int           // of so many rounds one has a subject that is far away from its target
}

var (
	full  = plan{rounds: 200, block: 10, window: 100 * time.Millisecond, warm: 20 * time.Millisecond, rare: 4}
	quick = plan{rounds: 25, block: 5, window: 100 * time.Millisecond, warm: 20 * time.Millisecond, rare: 2}
)
