//go:build linux

package soak_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"
)

// row is what one database client went through.
type row struct {
	Soak        string  `json:"soak"`
	Product     string  `json:"product"`
	Mode        string  `json:"mode"`
	Seconds     float64 `json:"seconds"`
	Connections int     `json:"connections"`
	Calls       int     `json:"calls"`
	Errors      int     `json:"errors"`
	FirstError  string  `json:"first_error,omitempty"`
	P50         float64 `json:"p50_ms"`
	P99         float64 `json:"p99_ms"`
	Longest     float64 `json:"longest_ms"`
	Acked       int     `json:"writes_acknowledged"`
	Found       int     `json:"writes_on_server"`
	Sessions    int     `json:"sessions_on_server"`
	Dials       uint64  `json:"dials_during_the_soak"`
	Ended       string  `json:"connections_ended_by_cause"`
	FalseAlarms int     `json:"connections_ended_wrongly"`
	Generations uint64  `json:"generation_bumps"`
	Path        string  `json:"path"`
	StoodStill  float64 `json:"process_stood_still_ms"` // at most, at a time: how much of all this is the machine's
	Good        bool    `json:"good"`
}

type book struct {
	// mu guards rows. Nothing else happens under it.
	mu   sync.Mutex
	rows []row
}

var results book

func (b *book) add(r row) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = append(b.rows, r)
}

// write prints the table, and the report into a file.
func (b *book) write(w io.Writer, path string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.SortFunc(b.rows, func(x, y row) int {
		return strings.Compare(x.Soak+x.Product+x.Mode, y.Soak+y.Product+y.Mode)
	})
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "soak\tproduct\tmode\ts\tconns\tcalls\terrors\tp50 ms\tp99 ms\tlongest ms\tacked\ton server\tsessions\tended\twrongly\tgenerations\tstood still ms")
	for _, r := range b.rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.0f\t%d\t%d\t%d\t%.1f\t%.0f\t%.0f\t%d\t%d\t%d\t%s\t%d\t%d\t%.0f\n", r.Soak, r.Product, r.Mode, r.Seconds, r.Connections,
			r.Calls, r.Errors, r.P50, r.P99, r.Longest, r.Acked, r.Found, r.Sessions, r.Ended, r.FalseAlarms, r.Generations, r.StoodStill)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(map[string]any{
		"at": time.Now().UTC().Format(time.RFC3339), "go": runtime.Version(), "processors": runtime.NumCPU(), "kernel": kernel(), "rows": b.rows,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b))
}

// at is a quantile of sorted times, in milliseconds.
func at(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(q*float64(len(sorted)-1))].Microseconds()) / 1000
}

// stalls knows for how long this process did not get to run.
type stalls struct{ longest atomic.Int64 }

// watch begins to look, until the test ends.
func watch(t *testing.T) *stalls {
	t.Helper()
	s, stop, done := &stalls{}, make(chan struct{}), make(chan struct{})
	const every = 10 * time.Millisecond
	go func() {
		defer close(done)
		tick := time.NewTimer(every)
		defer tick.Stop()
		for {
			began := time.Now()
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if late := int64(time.Since(began) - every); late > s.longest.Load() {
				s.longest.Store(late)
			}
			tick.Reset(every)
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	return s
}

func (s *stalls) ms() float64 { return float64(time.Duration(s.longest.Load()).Microseconds()) / 1000 }
