//go:build linux

package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const head = `# Fault matrix

What each client does under each fault, without Herz and with it, against real servers. ` + "`make faults`" + ` writes this page and
[fault-matrix.json](fault-matrix.json), which has all figures. All clients of one product meet one fault together, on one server,
with six connections each. The verdict is taken on the server: each write has a number, and afterwards its rows are counted.

What no bar asks for: a statement that is on a server which freezes waits until that goes on, or for the caller's deadline. And a
server that answers on in the same role behind an address that has moved cannot be told from one behind a balancer ([sql.md](sql.md)).

%s

`

const legend = `
A cell says errors / longest stall in seconds, from the fault, or from the beginning of the call when that was later, to the
outcome. Without Herz a call is watched for 15 s.

| mark | meaning |
|---|---|
| H*n* | *n* calls had not ended when nobody watched any more |
| D*n* | *n* rows too many: executed twice |
| L*n* | *n* writes acknowledged that no server has |
| X*n* | dead lent: *n* calls, begun when a new connection would have been served, got an error from a connection that was dead |
| in flight | longest wait of a statement that was on the server when it froze; only a deadline of the caller would have ended it |
| stale | seconds from the move to the end of the last read that the old server answered |
| O*n* | *n* writes that the old server took after the move |
| writes | seconds from the demotion to the first write that the new server has |
| back | seconds from the first free place to the first call that succeeded |
| *n* of *m* | results that were cut: *n* of *m* had fewer rows and no error |
| ↻ | tried again after the whole run, because other work on the machine disturbed it or the code had changed |

`

// markdown is the page.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, head, r.verdict())
	r.tables(&b)
	b.WriteString(legend)
	r.misses(&b)
	r.bars(&b)
	r.origin(&b)
	return b.String()
}

func (r *report) verdict() string {
	s := fmt.Sprintf("**%d bars were held against Herz, %d of them were missed", r.Checks, r.Missed)
	if r.Failed > 0 {
		s += fmt.Sprintf("; %d cells could not be tried", r.Failed)
	}
	return s + ".**"
}

func (r *report) tables(b *strings.Builder) {
	for _, p := range products {
		columns := slices.DeleteFunc(slices.Clone(specs), func(s spec) bool { return s.product != p })
		fmt.Fprintf(b, "## %v\n\n| fault |", p)
		for _, c := range columns {
			fmt.Fprintf(b, " %s %s |", c.driver, c.mode)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
		for _, f := range faults {
			if !slices.Contains(f.products, p) {
				continue
			}
			fmt.Fprintf(b, "| %s |", f.title)
			for _, c := range columns {
				fmt.Fprintf(b, " %s |", r.cellText(f.name, p.String(), c))
			}
			b.WriteString("\n")
		}
		b.WriteString("\n")
	}
}

func (r *report) cellText(fault, server string, s spec) string {
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.Fault != fault || c.Server != server || c.Driver != s.driver || c.Mode != s.mode {
			continue
		}
		short := *c
		short.Missed = nil
		text := short.text()
		if c.Failed != "" {
			text = "not tried"
		}
		if len(c.Missed) > 0 {
			text = "**" + text + "**"
		}
		if c.Rerun {
			text += " ↻"
		}
		return text
	}
	return ""
}

func (r *report) misses(b *strings.Builder) {
	if r.Missed+r.Failed == 0 {
		return
	}
	b.WriteString("## Missed\n\n")
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.Failed != "" {
			fmt.Fprintf(b, "- %s could not be tried: %s\n", c.name(), strings.ReplaceAll(c.Failed, "\n", " "))
		}
		for _, m := range c.Missed {
			fmt.Fprintf(b, "- %s: %s; it was %s.", c.name(), m.Bar, m.Got)
			if c.Figures.Said != "" {
				fmt.Fprintf(b, " The first error: %s", strings.ReplaceAll(c.Figures.Said, "\n", " "))
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n")
}

func (r *report) bars(b *strings.Builder) {
	b.WriteString("## The bars\n\nUnder every fault: ")
	var all []string
	for _, c := range (bars{}).judge(figures{})[:common] {
		all = append(all, c.Bar)
	}
	fmt.Fprintf(b, "%s. And:\n\n| fault | bars |\n|---|---|\n", strings.Join(all, ", "))
	for _, f := range r.Faults {
		fmt.Fprintf(b, "| %s | %s |\n", f.Title, cmp.Or(f.Bars, "–"))
	}
	b.WriteString("\n")
}

func (r *report) origin(b *strings.Builder) {
	fmt.Fprintf(b, "## Measured on\n\n%s. Load average while it ran: %s.\n\n", r.Machine, r.loads())
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(b, "- %s %s\n", name, r.Versions[name])
	}
}

// loads is the range of the load averages.
func (r *report) loads() string {
	var all []float64
	for i := range r.Cells {
		var l float64
		if _, err := fmt.Sscan(r.Cells[i].Load, &l); err == nil {
			all = append(all, l)
		}
	}
	if len(all) == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.1f to %.1f", slices.Min(all), slices.Max(all))
}
