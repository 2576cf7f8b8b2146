package main

import (
	"fmt"

	"herz.example/herz/bench/record"
)

// judge holds the report against the targets. Only rows that were measured are judged.
func (r *report) judge() []record.Finding {
	var list []record.Finding
	has := map[string]bool{}
	for _, row := range r.Rows {
		has[row.Name] = true
	}
	add := func(row, what string, must, aim float64, measure func() (float64, int)) {
		if has[row] {
			list = append(list, record.Finding{What: row + ": " + what, Row: row, Must: must, Aim: aim}.Settle(measure()))
		}
	}
	times := func(row, base string, of func(sample) float64) func() (float64, int) {
		return func() (float64, int) { return r.ratio(row, herzName, base, of) }
	}
	plain := func(row string, of func(sample) float64) func() (float64, int) {
		return func() (float64, int) { return r.median(row, herzName, of), len(r.of(row, herzName)) }
	}
	const alone, full = "1 g, pool 8, no hold", "256 g, pool 64, yield"
	add(alone, "× puddle", .25, .16, times(alone, puddleName, ns))
	add(alone, "× HikariCP", .35, .22, times(alone, hikariName, ns))
	add(alone, "allocations a pair", .005, 0, plain(alone, allocs))
	for _, g := range []int{16, 64, 256} {
		row := fmt.Sprintf("%d g, pool 8, no hold", g)
		add(row, "× puddle", .06, .025, times(row, puddleName, ns))
		add(row, "× HikariCP", .5, .2, times(row, hikariName, ns))
	}
	add(full, "× puddle", .65, .5, times(full, puddleName, ns))
	add(full, "allocations a pair", .05, 0, plain(full, allocs))
	for _, row := range []string{"16 g, pool 8, yield, wait", full + ", wait"} {
		add(row, "p99 × puddle", .5, .25, times(row, puddleName, p99))
	}
	const even = "64 g, pool 8, yield, long"
	add(even, "max/min acquisitions", 1.15, 1.06, plain(even, fair))
	return list
}
