//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// report is the whole of a run, as it is written.
type report struct {
	Machine  machine           `json:"machine"`
	Versions map[string]string `json:"versions"`
	Faults   []faultText       `json:"faults"`
	Cells    []cell            `json:"cells"`
	Checks   int               `json:"checks"` // bars held against Herz
	Missed   int               `json:"missed"` // of these
	Failed   int               `json:"failed"` // cells that could not be tried
}

type faultText struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Bars  string `json:"bars"`
}

func newReport(m machine, versions map[string]string, cells []cell) report {
	r := report{Machine: m, Versions: versions, Cells: cells}
	for _, f := range faults {
		r.Faults = append(r.Faults, faultText{f.name, f.title, f.bars.text()})
	}
	for i := range cells {
		c := &cells[i]
		if c.Failed != "" {
			r.Failed++
			continue
		}
		if c.herz() {
			r.Checks += len(faultNamed(c.Fault).bars.judge(c.Figures))
			r.Missed += len(c.Missed)
		}
	}
	return r
}

func faultNamed(name string) fault {
	i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
	if i < 0 {
		return fault{name: name, title: name}
	}
	return faults[i]
}

// text names the bars of one fault beside those that hold for all.
func (b bars) text() string {
	var parts []string
	for _, c := range b.judge(figures{})[common:] {
		parts = append(parts, c.Bar)
	}
	return strings.Join(parts, ", ")
}

// common is the number of checks that hold under every fault.
const common = 6

// text is what one client did: errors, the longest stall, and what else there is to say.
func (c *cell) text() string {
	if c.Failed != "" {
		return "not tried: " + c.Failed
	}
	f, parts := &c.Figures, []string(nil)
	if f.Results > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d", f.Short, f.Results))
	} else {
		parts = append(parts, fmt.Sprintf("%d / %s", f.Errors, f.stall()))
	}
	mark := func(letter string, n int) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s%d", letter, n))
		}
	}
	mark("D", f.Duplicates)
	mark("L", f.Lost)
	mark("X", f.DeadLent)
	if f.InFlight > 0 {
		parts = append(parts, fmt.Sprintf("in flight %.1f", f.InFlight))
	}
	switch c.Fault {
	case "moved", "moved-dropped":
		parts = append(parts, "stale "+orNever(f.Stale), fmt.Sprintf("O%d", f.OldTook))
	case "demoted":
		parts = append(parts, "writes "+orNever(f.Writable))
	case "full":
		parts = append(parts, fmt.Sprintf("%.0f dials/s", *f.Dials), "back "+orNever(f.Back))
	}
	for _, m := range c.Missed {
		parts = append(parts, "MISSED "+m.Bar+": "+m.Got)
	}
	return strings.Join(parts, " ")
}

func (f *figures) stall() string {
	if f.Hung > 0 {
		return fmt.Sprintf("%.1f H%d", f.Stall, f.Hung)
	}
	return fmt.Sprintf("%.2f", f.Stall)
}

func orNever(s *float64) string {
	if s == nil {
		return "never"
	}
	return fmt.Sprintf("%.2f", *s)
}

// The files of a run.
const (
	fileJSON     = "fault-matrix.json"
	fileMarkdown = "fault-matrix.md"
)

// write puts both files into a folder.
func (r *report) write(dir string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, fileJSON), append(b, '\n'), 0o644),          //nolint:gosec // for everybody to read
		os.WriteFile(filepath.Join(dir, fileMarkdown), []byte(r.markdown()), 0o644), //nolint:gosec // for everybody to read
	)
}

// merge puts the cells of a run that was not of the whole matrix into those that a folder has, marked as tried again.
func merge(dir string, again []cell) ([]cell, error) {
	b, err := os.ReadFile(filepath.Join(dir, fileJSON))
	if err != nil {
		return nil, fmt.Errorf("there is no whole matrix to put these cells into: run without --only first: %w", err)
	}
	var r report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, fileJSON), err)
	}
	for _, c := range again {
		c.Rerun = true
		i := slices.IndexFunc(r.Cells, func(old cell) bool { return old.name() == c.name() })
		if i < 0 {
			return nil, fmt.Errorf("%s has no cell %s: run without --only", filepath.Join(dir, fileJSON), c.name())
		}
		r.Cells[i] = c
	}
	return r.Cells, nil
}
