//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// cell is one fault and one client.
type cell struct {
	Fault   string  `json:"fault"`
	Server  string  `json:"server"`
	Driver  string  `json:"driver"`
	Mode    string  `json:"mode"`
	Figures figures `json:"figures"`
	Missed  []check `json:"missed,omitempty"` // bars that Herz did not reach
	Failed  string  `json:"failed,omitempty"` // the fault could not be made or looked at
	Load    string  `json:"load"`             // average of the machine in the minute before, and processors
	Rerun   bool    `json:"rerun,omitempty"`  // it was tried again after the run of the whole matrix
}

func (c *cell) name() string {
	return strings.Join([]string{c.Fault, c.Server, c.Driver, c.Mode}, "/")
}

func (c *cell) herz() bool { return c.Mode != stock }

// job is one fault on all chosen clients of one product.
type job struct {
	fault
	product product
	columns []spec
}

// choose gives the jobs of which some cell has all the words in its name.
func choose(words []string) (jobs []job) {
	for _, f := range faults {
		for _, p := range f.products {
			j := job{fault: f, product: p}
			for _, c := range specs {
				one := cell{Fault: f.name, Server: p.String(), Driver: c.driver, Mode: c.mode}
				if c.product == p && matches(one.name(), words) {
					j.columns = append(j.columns, c)
				}
			}
			if len(j.columns) > 0 {
				jobs = append(jobs, j)
			}
		}
	}
	return jobs
}

// matches reports whether a name has, for one of the alternatives, all parts between its slashes.
func matches(name string, alternatives []string) bool {
	if len(alternatives) == 0 {
		return true
	}
	name = strings.ToLower(name)
	return slices.ContainsFunc(alternatives, func(a string) bool { return strings.Contains(name, strings.ToLower(a)) })
}

// cells are what the job fills.
func (j *job) cells() []cell {
	out := make([]cell, len(j.columns))
	for i, c := range j.columns {
		out[i] = cell{Fault: j.name, Server: j.product.String(), Driver: c.driver, Mode: c.mode}
	}
	return out
}

// try makes the fault on a stage of its own.
func (j *job) try(t testing.TB, stride int) []cell {
	s := newScene(t, j.product, j.columns)
	s.stride, s.tls = stride, j.tls
	j.play(s)
	if t.Failed() {
		t.FailNow()
	}
	s.count(j.bars)
	out := j.cells()
	for i, sub := range s.subjects {
		out[i].Figures = sub.fig
		if sub.herz() {
			out[i].Missed = missed(j.bars.judge(sub.fig))
		}
	}
	return out
}

// run does the jobs, so many side by side, and gives their cells in the order of the matrix.
func run(ctx context.Context, jobs []job, sideBySide int, log io.Writer) []cell {
	log = &serial{to: log}
	results := make([][]cell, len(jobs))
	var wg sync.WaitGroup
	turns := make(chan struct{}, sideBySide)
	for i := range jobs {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			results[i] = jobs[i].alone(ctx, log)
		})
	}
	wg.Wait()
	return slices.Concat(results...)
}

// alone does one job and says what came out.
func (j *job) alone(ctx context.Context, log io.Writer) []cell {
	began, load := time.Now(), loadAverage()
	title := j.name + " " + j.product.String()
	out := j.cells()
	if err := act(ctx, title, log, func(t testing.TB) { out = j.try(t, 1) }); err != nil {
		for i := range out {
			out[i].Failed = err.Error()
		}
	}
	for i := range out {
		out[i].Load = load
		fmt.Fprintf(log, "%-52s %s\n", out[i].name(), out[i].text())
	}
	fmt.Fprintf(log, "%s: %.1f s\n", title, time.Since(began).Seconds())
	return out
}

// serial lets one line out at a time.
type serial struct {
	// mu guards to, and is held while a line is written to it. Nothing else happens under it.
	mu sync.Mutex
	to io.Writer
}

func (s *serial) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to.Write(b)
}

// loadAverage is the number of runnable tasks, averaged over a minute.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
