package main

import (
	"fmt"
	"strings"
	"time"
)

// work is one row: how many goroutines ask a pool of which size, and how.
type work struct {
	Name       string        `json:"name"`
	Goroutines int           `json:"goroutines"`
	Pool       int           `json:"pool"`
	Yield      bool          `json:"yield"`     // the holder calls Gosched once, so that the pool really runs empty
	Fresh      bool          `json:"fresh"`     // a new goroutine for each loan
	Latency    bool          `json:"latency"`   // the wait of each loan is timed
	Exhausted  bool          `json:"exhausted"` // all connections are out and everybody waits when the window begins
	Window     time.Duration `json:"window_ns"`
}

const (
	short = 30 * time.Millisecond
	tail  = 100 * time.Millisecond // where goroutines wait for each other: the ticks of the scheduler, ten milliseconds, make less a matter of luck
	long  = 600 * time.Millisecond // fairness means nothing in less
)

// rows is the list of cases. The quick one has those that have a target.
func rows(quick bool) []work {
	list := targets()
	if !quick {
		list = append(list, grid()...)
	}
	for i := range list {
		list[i].Name = title(list[i])
	}
	return unique(list)
}

func targets() []work {
	return []work{
		{Goroutines: 1, Pool: 8, Window: short},
		{Goroutines: 16, Pool: 8, Window: short},
		{Goroutines: 64, Pool: 8, Window: short},
		{Goroutines: 256, Pool: 8, Window: short},
		{Goroutines: 256, Pool: 64, Yield: true, Window: tail},
		{Goroutines: 16, Pool: 8, Yield: true, Latency: true, Window: tail},
		{Goroutines: 256, Pool: 64, Yield: true, Latency: true, Window: tail},
		{Goroutines: 64, Pool: 8, Yield: true, Window: long},
	}
}

// target reports whether the row is one of those that have a target.
func (w work) target() bool {
	for _, t := range targets() {
		if title(t) == w.Name {
			return true
		}
	}
	return false
}

func grid() []work {
	var list []work
	for _, size := range []int{3, 8, 64, 100} {
		for _, g := range []int{1, 2, 16, 64, 256, 1024, 4096} {
			for _, fresh := range []bool{false, true} {
				list = append(list,
					work{Goroutines: g, Pool: size, Fresh: fresh, Window: short},
					work{Goroutines: g, Pool: size, Fresh: fresh, Yield: true, Window: short})
			}
			list = append(list, work{Goroutines: g, Pool: size, Yield: true, Latency: true, Window: short})
		}
	}
	return append(list,
		work{Goroutines: 64, Pool: 8, Yield: true, Fresh: true, Latency: true, Window: short},
		work{Goroutines: 256, Pool: 8, Yield: true, Window: long},
		work{Goroutines: 256, Pool: 64, Yield: true, Latency: true, Window: long},
		work{Goroutines: 16, Pool: 8, Window: long},
		work{Goroutines: 16, Pool: 8, Exhausted: true, Window: long},
		work{Goroutines: 256, Pool: 8, Exhausted: true, Window: long})
}

func title(w work) string {
	parts := []string{fmt.Sprintf("%d g, pool %d", w.Goroutines, w.Pool)}
	for _, p := range []struct {
		on   bool
		text string
	}{
		{!w.Yield, "no hold"},
		{w.Yield, "yield"},
		{w.Fresh, "fresh"},
		{w.Latency, "wait"},
		{w.Exhausted, "exhausted first"},
		{w.Window >= long, "long"},
	} {
		if p.on {
			parts = append(parts, p.text)
		}
	}
	return strings.Join(parts, ", ")
}

func unique(list []work) []work {
	seen := map[string]bool{}
	var kept []work
	for _, w := range list {
		if !seen[w.Name] {
			seen[w.Name] = true
			kept = append(kept, w)
		}
	}
	return kept
}
