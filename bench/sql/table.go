package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"herz.example/herz/bench/record"
)

// table writes the report as Markdown.
func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# SQL side by side: %s\n\n%s\n\n", r.Name, r.Machine.String())
	var servers []string
	for _, name := range slices.Sorted(maps.Keys(r.Servers)) {
		servers = append(servers, name+" "+r.Servers[name])
	}
	fmt.Fprintf(&b, "%s through loopback on the same machine; %d connections each; %d rounds of each row, windows of %v, order from seed %d.\n\n",
		strings.Join(servers, ", "), r.Connections, r.Rounds, r.Window, r.Seed)
	record.Targets(&b, r.Verdict, "pairs")
	b.WriteString("\n## Rows\n\nMedians of the windows. × is the median of the ratios to plain within one round, with the values below and above " +
		"which the true median lies with a chance of 5 % each. CPU is this process' processor time for a query, user and system; the servers are other processes. " +
		againName + " differs from " + plainName + " by noise alone. What was measured in no window says none.\n\n")
	b.WriteString("| row | | queries/s | × | CPU µs | × | p50 µs | p99 µs | p99 × | CPU/wall | n |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, w := range r.Rows {
		for _, name := range []string{plainName, againName, guardedName, pooledName, floorName, pgxpoolName} {
			r.line(&b, w.Name, name)
		}
	}
	return b.String()
}

func (r *report) line(b *strings.Builder, row, name string) {
	s := r.of(row, name)
	if s == nil {
		return
	}
	us := func(of figure) string { return fmt.Sprintf("%.1f", record.Median(of(s))/1e3) }
	fmt.Fprintf(b, "| %s | %s | %.0f | %s | %s | %s | %s | %s | %s | %.2f | %d |\n", row, name, record.Median(s.PerSecond), r.times(row, name, perSecond),
		us(cpu), r.times(row, name, cpu), us(p50), us(p99), r.times(row, name, p99), record.Median(cpuWall(s)), len(s.Round))
}

func (r *report) times(row, name string, of figure) string {
	if name == plainName {
		return "1"
	}
	list := r.ratios(row, name, plainName, of)
	if len(list) == 0 {
		return "none"
	}
	low, high, ok := record.Bounds(list)
	if !ok {
		return fmt.Sprintf("%.3f", record.Median(list))
	}
	return fmt.Sprintf("%.3f (%.3f–%.3f)", record.Median(list), low, high)
}
