package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
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
	Name        string            `json:"name"`
	When        time.Time         `json:"when"`
	Took        string            `json:"took"`
	Go          string            `json:"go"`
	System      string            `json:"system"`
	Kernel      string            `json:"kernel"`
	CPU         string            `json:"cpu"`
	Cores       int               `json:"cores"`
	Procs       int               `json:"gomaxprocs"`
	Load        string            `json:"load_before"`
	Versions    map[string]string `json:"versions"`
	LeftOut     []string          `json:"left_out,omitempty"`
	Repetitions int               `json:"repetitions"`
	Verdict     []finding         `json:"verdict"`
	Rows        []work            `json:"rows"`
	Windows     []window          `json:"windows"`

	subjects []string
	round    int // newest repetition
}

func newReport(quick bool) *report {
	r := &report{
		Name: "full", Repetitions: 11, When: time.Now().UTC(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Cores: runtime.NumCPU(), Procs: runtime.GOMAXPROCS(0), Versions: map[string]string{},
	}
	if quick {
		r.Name = "quick"
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Version != "" && d.Version != "v0.0.0" {
				r.Versions[d.Path] = d.Version
			}
		}
	}
	r.Load = firstLine("/proc/loadavg")
	r.Kernel = firstLine("/proc/sys/kernel/osrelease")
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(b), "model name\t: "); ok {
			r.CPU, _, _ = strings.Cut(rest, "\n")
		}
	}
	return r
}

func firstLine(path string) string {
	b, err := os.ReadFile(path) //nolint:gosec // the kernel's own files, named in this program
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line
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
	p := &progress{log: log, began: time.Now(), total: len(aimed)*r.Repetitions + len(plain)*plainRepetitions}
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
	r.Took = time.Since(p.began).Round(time.Second).String()
	r.Verdict = r.judge()
	return nil
}

// plainRepetitions is how often a row without a target is measured.
const plainRepetitions = 3

// repeat measures the rows so many times.
func (r *report) repeat(ctx context.Context, all []subject, list []work, times int, p *progress) error {
	for range times {
		r.round++
		for _, i := range rand.Perm(len(list)) {
			if err := r.windows(ctx, all, list[i], r.round); err != nil {
				return err
			}
			p.step()
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

// progress tells a person at a terminal how long it will take.
type progress struct {
	log         io.Writer
	began       time.Time
	done, total int
}

func (p *progress) step() {
	p.done++
	f, ok := p.log.(*os.File)
	if !ok || p.done%10 != 0 || p.done > p.total {
		return
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return
	}
	left := max(time.Since(p.began)/time.Duration(p.done)*time.Duration(p.total-p.done), time.Second)
	_, _ = fmt.Fprintf(f, "\r%d of %d, about %v left ", p.done, p.total, left.Round(time.Second))
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
	return median(list), len(list)
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
	return median(list)
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
	text := r.table()
	if dir != "" {
		if err := r.files(dir, map[string]string{".json": string(raw) + "\n", ".md": text, ".svg": r.chart()}); err != nil {
			return err
		}
	}
	if form == "json" {
		text = string(raw) + "\n"
	}
	_, err = io.WriteString(out, text)
	return err
}

func (r *report) files(dir string, files map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // results are to be read by everybody
		return fmt.Errorf("make the folder of the results: %w", err)
	}
	for ext, data := range files {
		if err := os.WriteFile(filepath.Join(dir, r.Name+ext), []byte(data), 0o644); err != nil { //nolint:gosec // as above
			return fmt.Errorf("write the results: %w", err)
		}
	}
	return nil
}

// names gives the versions in one order.
func (r *report) names() []string {
	var list []string
	for path, v := range r.Versions {
		list = append(list, path+" "+v)
	}
	slices.Sort(list)
	return list
}
