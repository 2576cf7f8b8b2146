package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

const (
	chartLeft, chartWidth = 330, 470
	chartLine             = 15
	chartLeast            = 8.0 // nanoseconds at the left edge
)

var colours = map[string]string{
	herzName: "#1a7f5a", againName: "#7cc4a8", puddleName: "#b8860b", hikariName: "#2470b8",
	"database/sql": "#7a5cc0", "go-redis": "#c0392b", "channel": "#5b7083",
}

// chart draws a bar for each pool on each row that has a target, on a logarithmic scale.
func (r *report) chart() string {
	var b strings.Builder
	y := 44
	for _, row := range r.Rows {
		if !row.target() {
			continue
		}
		fmt.Fprintf(&b, `<text x="8" y="%d" font-weight="bold">%s</text>`+"\n", y+12, html.EscapeString(row.Name))
		y += 20
		for _, s := range r.subjects {
			if len(r.of(row.Name, s))+r.thrown(row.Name, s) > 0 {
				r.bar(&b, row, s, y)
				y += chartLine
			}
		}
		y += 10
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 %d" font-family="sans-serif" font-size="12" role="img"
aria-label="Nanoseconds of wall time for an acquire and its release">
<style>svg{background:#fff}text{fill:#222}@media(prefers-color-scheme:dark){svg{background:#16181c}text{fill:#ddd}}</style>
<text x="8" y="18" font-size="14">Nanoseconds of wall time for an acquire and its release, logarithmic; less is better</text>
%s</svg>
`, y+8, b.String())
}

func (r *report) bar(b *strings.Builder, row work, subject string, y int) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, chartLeft-8, y+11, html.EscapeString(subject))
	if len(r.of(row.Name, subject)) == 0 {
		fmt.Fprintf(b, `<text x="%d" y="%d">none</text>`+"\n", chartLeft, y+11)
		return
	}
	v := r.median(row.Name, subject, ns)
	width := chartWidth * math.Log(max(v, chartLeast)/chartLeast) / math.Log(100_000/chartLeast)
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%.1f</text>`+"\n",
		chartLeft, y+1, width+1, chartLine-3, colours[subject], chartLeft+width+7, y+11, v)
}
