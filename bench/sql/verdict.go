package main

import (
	"fmt"

	"herz.example/herz/bench/record"
)

// mode is what is demanded of one of Herz's modes beside plain.
type mode struct {
	name      string
	cpu, rate float64
}

var modes = []mode{{guardedName, 1.05, .90}, {pooledName, 1.15, .80}}

// slowest is what is demanded of the p99 of the latency in both modes.
const slowest = 1.15

// overPgxpool is how many times the queries of OpenDBFromPool pooled mode must answer, prepared.
const overPgxpool = 2

// judge holds the report against the targets.
func (r *report) judge() []record.Finding {
	var list []record.Finding
	for _, w := range r.Rows {
		for _, m := range modes {
			add := func(what string, must, aim float64, atLeast bool, measure func() (float64, int)) {
				f := record.Finding{What: fmt.Sprintf("%s, %s: %s", w.Name, m.name, what), Row: w.Name, Must: must, Aim: aim, AtLeast: atLeast}
				list = append(list, f.Settle(measure()))
			}
			add("client CPU a query × plain, over A/A", m.cpu, 1, false, func() (float64, int) { return r.cpuOverAA(w.Name, m.name) })
			add("queries/s × plain, lower bound", m.rate, 0, true, func() (float64, int) { return r.atLeast(w.Name, m.name, plainName) })
			add("p99 × plain", slowest, 0, false, func() (float64, int) { return r.median(w.Name, m.name, p99) })
		}
		if w.Prepared && r.of(w.Name, pgxpoolName) != nil {
			f := record.Finding{What: w.Name + ", pooled: queries/s × OpenDBFromPool, lower bound", Row: w.Name, Must: overPgxpool, AtLeast: true}
			list = append(list, f.Settle(r.atLeast(w.Name, pooledName, pgxpoolName)))
		}
	}
	return list
}

// median is that of the ratios to plain, and on how many pairs it rests.
func (r *report) median(row, subject string, of figure) (value float64, pairs int) {
	list := r.ratios(row, subject, plainName, of)
	return record.Median(list), len(list)
}

// cpuOverAA is the median ratio of the processor time to plain's, divided by the same of plain itself.
func (r *report) cpuOverAA(row, subject string) (value float64, pairs int) {
	same, n := r.median(row, againName, cpu)
	if n == 0 || same == 0 {
		return 0, 0
	}
	value, pairs = r.median(row, subject, cpu)
	return value / same, min(n, pairs)
}

// atLeast is the lower bound of the ratio of queries in a second: it is less only with a chance of 5 %.
func (r *report) atLeast(row, subject, base string) (value float64, pairs int) {
	list := r.ratios(row, subject, base, perSecond)
	low, _, ok := record.Bounds(list)
	if !ok {
		return 0, 0
	}
	return low, len(list)
}
