package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime/pprof"
	"time"

	"herz.example/herz/bench/record"
	"herz.example/herz/faultlab/server"
)

// report is everything a run found out, and where.
type report struct {
	Name string `json:"name"`
	record.Machine
	Seed        uint64            `json:"seed"` // of the order of all windows
	Connections int               `json:"connections"`
	Rounds      int               `json:"rounds"`
	Window      time.Duration     `json:"window_ns"`
	Servers     map[string]string `json:"servers"` // versions
	Verdict     []record.Finding  `json:"verdict"`
	Rows        []row             `json:"rows"`
	Series      []*series         `json:"series"`

	plan plan
	dice *rand.Rand
}

// series is what the windows of one subject on one row showed, one after the other. Figures are rounded to whole numbers, CPU/wall to
// thousandths.
type series struct {
	Row       string    `json:"row"`
	Subject   string    `json:"subject"`
	Round     []int     `json:"round"`
	PerSecond []float64 `json:"queries_per_second"`
	CPU       []float64 `json:"cpu_ns_per_query"`
	CPUWall   []float64 `json:"cpu_wall"`
	P50       []float64 `json:"p50_ns"`
	P99       []float64 `json:"p99_ns"`
}

func newReport(name string, p plan, seed uint64) *report {
	return &report{
		Name: name, Machine: record.Here(), Seed: seed, Connections: connections, Rounds: p.rounds, Window: p.window,
		Servers: map[string]string{}, plan: p, dice: rand.New(rand.NewPCG(seed, seed)), //nolint:gosec // an order, and no secret
	}
}

// collect measures all rows: blocks of rounds in random order, and in each round the row's subjects in random order, so that those which are
// compared stand beside each other in time.
func (r *report) collect(ctx context.Context, open map[server.Kind][]*subject, log io.Writer) error {
	var blocks []int
	for i := range r.Rows {
		for range r.plan.rounds / r.plan.block {
			blocks = append(blocks, i)
		}
	}
	r.dice.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
	next := make([]int, len(r.Rows)) // the round of each row
	p := &record.Progress{Log: log, Total: len(blocks), Every: 1}
	p.Start()
	for _, i := range blocks {
		if err := r.block(ctx, r.Rows[i], open[r.Rows[i].kind], next[i]); err != nil {
			return err
		}
		next[i] += r.plan.block
		p.Step()
	}
	r.Took = time.Since(p.Began()).Round(time.Second).String()
	r.Verdict = r.judge()
	return nil
}

// block measures one row for a few rounds, the first of which is round.
func (r *report) block(ctx context.Context, w row, list []*subject, round int) error {
	for _, s := range list {
		if !s.takesPart(w, 0, r.plan) {
			continue
		}
		if _, err := s.measure(ctx, w, r.plan.warm); err != nil {
			return fmt.Errorf("%s, %s: %w", s.name, w.Name, err)
		}
	}
	for n := range r.plan.block {
		for _, j := range r.dice.Perm(len(list)) {
			s := list[j]
			if !s.takesPart(w, round+n, r.plan) {
				continue
			}
			var got sample
			err := ctx.Err()
			if err == nil {
				pprof.Do(ctx, pprof.Labels("subject", s.name, "row", w.Name), func(ctx context.Context) { got, err = s.measure(ctx, w, r.plan.window) })
			}
			if err != nil {
				return fmt.Errorf("%s, %s: %w", s.name, w.Name, err)
			}
			r.add(w.Name, s.name, round+n, got)
		}
	}
	return nil
}

func (r *report) add(row, subject string, round int, s sample) {
	one := r.of(row, subject)
	if one == nil {
		one = &series{Row: row, Subject: subject}
		r.Series = append(r.Series, one)
	}
	one.Round = append(one.Round, round)
	one.PerSecond = append(one.PerSecond, math.Round(s.perSecond))
	one.CPU = append(one.CPU, math.Round(s.cpu))
	one.CPUWall = append(one.CPUWall, math.Round(s.cpuWall*1e3)/1e3)
	one.P50 = append(one.P50, math.Round(s.p50))
	one.P99 = append(one.P99, math.Round(s.p99))
}

func (r *report) of(row, subject string) *series {
	for _, s := range r.Series {
		if s.Row == row && s.Subject == subject {
			return s
		}
	}
	return nil
}

// figure is one of the lists of a series.
type figure func(*series) []float64

func perSecond(s *series) []float64 { return s.PerSecond }
func cpu(s *series) []float64       { return s.CPU }
func cpuWall(s *series) []float64   { return s.CPUWall }
func p50(s *series) []float64       { return s.P50 }
func p99(s *series) []float64       { return s.P99 }

// ratios are those of two subjects within each round in which both took part.
func (r *report) ratios(row, subject, base string, of figure) []float64 {
	a, b := r.of(row, subject), r.of(row, base)
	if a == nil || b == nil {
		return nil
	}
	under := map[int]float64{}
	for i, round := range b.Round {
		under[round] = of(b)[i]
	}
	var list []float64
	for i, round := range a.Round {
		if under[round] > 0 {
			list = append(list, of(a)[i]/under[round])
		}
	}
	return list
}

// write puts the results into dir and prints them.
func (r *report) write(dir, form string, out io.Writer) error {
	raw, err := json.Marshal(r) // not indented: a number a line would make it many thousand lines
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	return record.Results{Name: r.Name, JSON: raw, Table: r.table()}.Put(dir, form, out)
}
