package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"herz.example/herz/bench/record"
)

// rows are how many goroutines call at the same time over one channel.
var rows = []int{1, 16}

// report is everything a run found out, and where.
type report struct {
	Name string `json:"name"`
	record.Machine
	Seed     uint64           `json:"seed"` // of the order of all windows
	Rounds   int              `json:"rounds"`
	Window   time.Duration    `json:"window_ns"`
	Verdict  []record.Finding `json:"verdict"`
	Series   []*series        `json:"series"`
	Holes    []hole           `json:"holes"`
	Silences []silence        `json:"silences"`

	plan plan
	dice *rand.Rand
}

// series is what the windows of one subject on one row showed, one for each round.
type series struct {
	Goroutines int       `json:"goroutines"`
	Subject    string    `json:"subject"`
	CPU        []float64 `json:"cpu_ns_per_call"`
	Rate       []float64 `json:"calls_per_second"`
	Allocs     []float64 `json:"allocs_per_call"`
	CPUWall    []float64 `json:"cpu_wall"`
}

func newReport(name string, p plan, seed uint64) *report {
	return &report{
		Name: name, Machine: record.Here(), Seed: seed, Rounds: p.rounds, Window: p.window, plan: p,
		dice: rand.New(rand.NewPCG(seed, seed)), //nolint:gosec // an order, and no secret
	}
}

func (r *report) collect(ctx context.Context, log io.Writer) error {
	began := time.Now()
	if err := r.cost(ctx, log); err != nil {
		return err
	}
	var err error
	if r.Holes, err = holes(ctx, r.plan.holes, r.plan.enough); err != nil {
		return err
	}
	if r.plan.quiet > 0 {
		if r.Silences, err = silences(ctx, r.plan.quiet); err != nil {
			return err
		}
	}
	r.Took = time.Since(began).Round(time.Second).String()
	r.judge()
	return nil
}

// cost measures all subjects: in each round the rows and their subjects in random order, so that those which are compared stand beside each other in time.
func (r *report) cost(ctx context.Context, log io.Writer) error {
	list, err := subjects()
	if err != nil {
		return err
	}
	defer closeAll(list)
	for _, g := range rows {
		for _, s := range list {
			r.Series = append(r.Series, &series{Goroutines: g, Subject: s.name})
		}
	}
	p := &record.Progress{Log: log, Total: r.Rounds * len(rows), Every: 10}
	p.Start()
	for range r.Rounds {
		for _, row := range r.dice.Perm(len(rows)) {
			for _, i := range r.dice.Perm(len(list)) {
				got, err := list[i].measure(ctx, rows[row], r.Window)
				if err == nil {
					err = ctx.Err()
				}
				if err != nil {
					return fmt.Errorf("%s: %w", list[i].name, err)
				}
				r.Series[row*len(list)+i].add(got)
			}
			p.Step()
		}
	}
	return nil
}

func (s *series) add(got sample) {
	s.CPU = append(s.CPU, math.Round(got.cpu))
	s.Rate = append(s.Rate, math.Round(got.rate))
	s.Allocs = append(s.Allocs, math.Round(got.allocs*10)/10)
	s.CPUWall = append(s.CPUWall, math.Round(got.cpuWall*1e3)/1e3)
}

func (r *report) of(goroutines int, subject string) *series {
	for _, s := range r.Series {
		if s.Goroutines == goroutines && s.Subject == subject {
			return s
		}
	}
	return &series{}
}

// ratios are those of a subject's processor time to plain's within each round.
func (r *report) ratios(goroutines int, subject string) []float64 {
	a, b := r.of(goroutines, subject).CPU, r.of(goroutines, plainName).CPU
	var list []float64
	for i := range min(len(a), len(b)) {
		list = append(list, a[i]/b[i])
	}
	return list
}

func (r *report) judge() {
	for _, g := range rows {
		same, pairs := r.ratios(g, againName), r.ratios(g, herzName)
		f := record.Finding{What: fmt.Sprintf("%d g: herzgrpc's CPU a call × plain, over A/A", g), Row: fmt.Sprintf("%d g", g), Must: 1.10, Aim: 1.05}
		r.Verdict = append(r.Verdict, f.Settle(record.Median(pairs)/record.Median(same), min(len(pairs), len(same))))
	}
	worst, n := 0.0, 0
	for _, h := range r.Holes {
		if h.Client == herzName {
			n++
			worst = max(worst, h.Seconds) // who did not get out has all the time that there was
		}
	}
	out := record.Finding{What: "herzgrpc: seconds from a black hole to a call that succeeds or a stream that is told, the worst", Must: 3.5}
	r.Verdict = append(r.Verdict, out.Settle(worst, n))
	if r.plan.quiet == 0 {
		return
	}
	cut, n := 0.0, 0
	for _, s := range r.Silences {
		if strings.HasPrefix(s.Client, "herzgrpc") {
			n++
			if s.Ended != "" {
				cut++
			}
		}
	}
	none := record.Finding{What: fmt.Sprintf("herzgrpc: streams that ended within %v of silence and pings; none may", r.plan.quiet)}
	r.Verdict = append(r.Verdict, none.Settle(cut, n))
}

func (r *report) write(dir, form string, out io.Writer) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	return record.Results{Name: r.Name, JSON: raw, Table: r.table()}.Put(dir, form, out)
}
