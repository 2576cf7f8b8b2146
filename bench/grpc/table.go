package main

import (
	"fmt"
	"strings"

	"herz.example/herz/bench/record"
)

// table writes the report as Markdown.
func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# gRPC side by side: %s\n\n%s\n\n", r.Name, &r.Machine)
	fmt.Fprintf(&b, "Client and server in one process, over loopback, without TLS; %d rounds, windows of %v, order from seed %d.\n\n", r.Rounds, r.Window, r.Seed)
	record.Targets(&b, r.Verdict, "pairs, holes or streams")
	r.costs(&b)
	r.falls(&b)
	if len(r.Silences) > 0 {
		r.pings(&b)
	}
	return b.String()
}

func (r *report) costs(b *strings.Builder) {
	b.WriteString("\n## What a call costs\n\nMedians of the windows. × is the median of the ratios to plain within one round, with the values below and above " +
		"which the true median lies with a chance of 5 % each. CPU and allocations are of both ends.\n\n" +
		"| goroutines | | CPU µs a call | × | calls/s | allocations | CPU/wall |\n|--:|---|--:|--:|--:|--:|--:|\n")
	for _, s := range r.Series {
		list := r.ratios(s.Goroutines, s.Subject)
		low, high, _ := record.Bounds(list)
		fmt.Fprintf(b, "| %d | %s | %.1f | %.3f (%.3f–%.3f) | %.0f | %.1f | %.2f |\n", s.Goroutines, s.Subject, record.Median(s.CPU)/1e3,
			record.Median(list), low, high, record.Median(s.Rate), record.Median(s.Allocs), record.Median(s.CPUWall))
	}
}

func (r *report) falls(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Black holes\n\nEverything is dropped in both directions; a call every %v, each with %v. Seconds until a call succeeded; "+
		"of a stream until it was told.\n\n| client | in flight | s | calls failed |\n|---|---|--:|--:|\n", every, deadline)
	for _, h := range r.Holes {
		after := fmt.Sprintf("%.2f", h.Seconds)
		if !h.Out {
			after = fmt.Sprintf("not within %.0f", r.plan.enough.Seconds())
		}
		fmt.Fprintf(b, "| %s | %s | %s | %d |\n", h.Client, h.Flight, after, h.Failed)
	}
}

func (r *report) pings(b *strings.Builder) {
	b.WriteString("\n## Silence and pings\n\nA stream on which nobody says anything.\n\n| client | server | lasted s | ended by |\n|---|---|--:|---|\n")
	for _, s := range r.Silences {
		ended, _, _ := strings.Cut(s.Ended, "; herz")
		if ended == "" {
			ended = "the end of the measurement"
		}
		fmt.Fprintf(b, "| %s | %s | %.0f | %s |\n", s.Client, s.Server, s.Seconds, ended)
	}
}
