package main

import (
	"fmt"
	"strings"

	"herz.example/herz/bench/record"
)

// table writes the report as Markdown.
func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Pools side by side: %s\n\n", r.Name)
	fmt.Fprintf(&b, "%s\n\n", r.Machine.String())
	for _, text := range r.LeftOut {
		fmt.Fprintf(&b, "Left out: %s.\n\n", text)
	}
	record.Targets(&b, r.Verdict, "windows")
	r.rowsTable(&b)
	return b.String()
}

func (r *report) rowsTable(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Rows\n\nNanoseconds are of wall time for an acquire and its release. × is the median of the ratios within one repetition; "+
		"n is the windows that counted and, after +, those thrown away for CPU/wall < %.1f (%.1f where one goroutine runs). "+
		"What no window counted for says none. %s differs from %s by noise alone. HikariCP runs in its own process on threads of the operating system: "+
		"rows with a yield compare schedulers as much as pools.\n\n", minCPUWall, minAlone, againName, herzName)
	b.WriteString("| row | pool | ns | × puddle | × HikariCP | allocs | p50 µs | p99 µs | p99.9 µs | p99 × puddle | max/min | CPU/wall | n |\n")
	b.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, row := range r.Rows {
		for _, s := range r.subjects {
			r.line(b, row, s)
		}
	}
}

func (r *report) line(b *strings.Builder, row work, subject string) {
	kept, thrown := len(r.of(row.Name, subject)), r.thrown(row.Name, subject)
	if kept+thrown == 0 {
		return
	}
	cells := []string{row.Name, subject, "none", "none", "none", "", "", "", "", "", "", ""}
	if kept > 0 {
		cells = []string{
			row.Name, subject, fmt.Sprintf("%.1f", r.median(row.Name, subject, ns)), r.times(row, subject, puddleName, ns), r.times(row, subject, hikariName, ns),
			r.number(row, subject, allocs, 1, "%.3f", subject != hikariName), r.number(row, subject, p50, 1e3, "%.1f", row.Latency),
			r.number(row, subject, p99, 1e3, "%.1f", row.Latency), r.number(row, subject, p999, 1e3, "%.1f", row.Latency), "",
			r.number(row, subject, fair, 1, "%.2f", row.Yield && row.Window >= long), r.number(row, subject, cpu, 1, "%.2f", true),
		}
		if row.Latency {
			cells[9] = r.times(row, subject, puddleName, p99)
		}
	}
	fmt.Fprintf(b, "| %s | %d+%d |\n", strings.Join(cells, " | "), kept, thrown)
}

func (r *report) times(row work, subject, base string, of func(sample) float64) string {
	v, n := r.ratio(row.Name, subject, base, of)
	if n == 0 {
		return "none"
	}
	return fmt.Sprintf("%.3f", v)
}

func (r *report) number(row work, subject string, of func(sample) float64, unit float64, format string, has bool) string {
	if !has {
		return ""
	}
	return fmt.Sprintf(format, r.median(row.Name, subject, of)/unit)
}
