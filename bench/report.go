package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"herz.example/herz/bench/record"
)

// window is one measurement of one subject on one row.
type window struct {
	Row        string `json:"row"`
	Subject    string `json:"subject"`
	Repetition int    `json:"repetition"`
	Thrown     bool   `json:"thrown_away"`
	sample
}

// report is everything a run found out, and where.
type report struct {
	Name string `json:"name"`
	record.Machine
	LeftOut     []string         `json:"left_out,omitempty"`
	Repetitions int              `json:"repetitions"`
	Verdict     []record.Finding `json:"verdict"`
	Rows        []work           `json:"rows"`
	Windows     []window         `json:"windows"`

	subjects []string
	round    int // newest repetition
}

func newReport(quick bool) *report {
	r := &report{Name: "full", Repetitions: 11, Machine: record.Here()}
	if quick {
		r.Name = "quick"
	}
	return r
}

// collect runs every subject on every row, in a new random order in each repetition. Rows with a target come first, so that quick and full runs
// measure them alike: goroutines that have ended stay in the runtime's lists, and after rows with thousands of them the garbage collector
// works half as often.
func (r *report) collect(ctx context.Context, all []subject, list []work, log io.Writer) error {
	for _, s := range all {
		r.subjects = append(r.subjects, s.name)
	}
	r.Rows = list
	var aimed, plain []work
	for _, row := range list {
		if row.target() {
			aimed = append(aimed, row)
		} else {
			plain = append(plain, row)
		}
	}
	p := &record.Progress{Log: log, Total: len(aimed)*r.Repetitions + len(plain)*plainRepetitions, Every: 10}
	p.Start()
	if err := r.repeat(ctx, all, aimed, r.Repetitions, p); err != nil {
		return err
	}
	for range r.Repetitions {
		scarce := slices.DeleteFunc(slices.Clone(aimed), r.enough)
		if err := r.repeat(ctx, all, scarce, 1, p); err != nil {
			return err
		}
	}
	if err := r.repeat(ctx, all, plain, plainRepetitions, p); err != nil {
		return err
	}
	r.Took = time.Since(p.Began()).Round(time.Second).String()
	r.Verdict = r.judge()
	return nil
}

// plainRepetitions is how often a row without a target is measured.
const plainRepetitions = 3

// repeat measures the rows so many times.
func (r *report) repeat(ctx context.Context, all []subject, list []work, times int, p *record.Progress) error {
	for range times {
		r.round++
		for _, i := range rand.Perm(len(list)) {
			if err := r.windows(ctx, all, list[i], r.round); err != nil {
				return err
			}
			p.Step()
		}
	}
	return nil
}

// windows measures all subjects on one row, once.
func (r *report) windows(ctx context.Context, all []subject, row work, rep int) error {
	for _, j := range rand.Perm(len(all)) {
		s, err := all[j].measure(ctx, row)
		switch {
		case errors.Is(err, errNoRow):
			continue
		case err == nil:
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%s, %s: %w", all[j].name, row.Name, err)
		}
		r.add(row, all[j].name, rep, s)
	}
	return nil
}

func (r *report) add(row work, subject string, rep int, s sample) {
	r.Windows = append(r.Windows, window{Row: row.Name, Subject: subject, Repetition: rep, Thrown: !counts(row, s, r.Procs), sample: s})
}

// enough reports whether the row has ratios to judge by.
func (r *report) enough(row work) bool {
	_, n := r.ratio(row.Name, herzName, puddleName, ns)
	return n >= (r.Repetitions+1)/2
}

// ratio is the median of the ratios of two subjects within one repetition, of the n windows that count in both.
func (r *report) ratio(row, subject, base string, of func(sample) float64) (value float64, n int) {
	under := map[int]float64{}
	for _, w := range r.of(row, base) {
		under[w.Repetition] = of(w.sample)
	}
	var list []float64
	for _, w := range r.of(row, subject) {
		if under[w.Repetition] > 0 {
			list = append(list, of(w.sample)/under[w.Repetition])
		}
	}
	return record.Median(list), len(list)
}

// of gives the windows of a subject on a row that count.
func (r *report) of(row, subject string) []window {
	var list []window
	for _, w := range r.Windows {
		if w.Row == row && w.Subject == subject && !w.Thrown {
			list = append(list, w)
		}
	}
	return list
}

func (r *report) thrown(row, subject string) int {
	n := 0
	for _, w := range r.Windows {
		if w.Row == row && w.Subject == subject && w.Thrown {
			n++
		}
	}
	return n
}

func (r *report) median(row, subject string, of func(sample) float64) float64 {
	var list []float64
	for _, w := range r.of(row, subject) {
		list = append(list, of(w.sample))
	}
	return record.Median(list)
}

func ns(s sample) float64     { return s.NsPerPair }
func p50(s sample) float64    { return s.P50 }
func p99(s sample) float64    { return s.P99 }
func p999(s sample) float64   { return s.P999 }
func cpu(s sample) float64    { return s.CPUWall }
func fair(s sample) float64   { return s.Fairness }
func allocs(s sample) float64 { return s.Allocs }

// write puts the results into dir and prints them.
func (r *report) write(dir, form string, out io.Writer) error {
	raw, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	return record.Results{Name: r.Name, JSON: raw, Table: r.table(), Chart: r.chart()}.Put(dir, form, out)
}
