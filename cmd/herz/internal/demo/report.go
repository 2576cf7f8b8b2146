package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"herz.example/herz/cmd/herz/internal/demo/judge"
	"herz.example/herz/cmd/herz/internal/demo/script"
)

// Report is what a run showed. Its JSON is a contract.
type Report struct {
	Clients []ClientReport `json:"clients"`
	Faults  []FaultReport  `json:"faults"`
	Seed    uint64         `json:"seed"`

	Verdict judge.Verdict  `json:"-"`
	LeftOut []script.Event `json:"-"`
}

// ClientReport is what happened to the requests of one client.
type ClientReport struct {
	Name         string  `json:"name"`
	Kind         string  `json:"kind"`
	Requests     int     `json:"requests"`
	Right        int     `json:"right"`
	Wrong        int     `json:"wrong"`
	Empty        int     `json:"empty"`
	Errors       int     `json:"errors"`
	Duplicates   int     `json:"duplicates"`
	LongestStall float64 `json:"longest_stall_seconds"`
	DeadLent     int     `json:"dead_lent"`
}

// FaultReport is when a fault was there, in seconds since the begin. One that was left out is not listed.
type FaultReport struct {
	Name  string  `json:"name"`
	Start float64 `json:"start_seconds"`
	End   float64 `json:"end_seconds"`
}

func (r *run) report() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	rep := Report{Seed: r.cfg.Seed, Faults: []FaultReport{}, Verdict: *r.verdict}
	for i, c := range r.clients {
		t := r.final[i]
		rep.Clients = append(rep.Clients, ClientReport{
			Name: c.Name, Kind: string(c.Kind), Requests: t.Requests, Right: t.Right, Wrong: t.Wrong, Empty: t.Empty, Errors: t.Errors,
			Duplicates: t.Duplicates, LongestStall: milli(t.LongestStall.Seconds()), DeadLent: t.DeadLent,
		})
	}
	for _, e := range r.events {
		switch e.State {
		case script.Over, script.Active:
			rep.Faults = append(rep.Faults, FaultReport{Name: e.Name, Start: milli(e.Start.Seconds()), End: milli(e.End.Seconds())})
		case script.LeftOut:
			rep.LeftOut = append(rep.LeftOut, e)
		default:
		}
	}
	return rep
}

func milli(seconds float64) float64 { return float64(int64(seconds*1000+0.5)) / 1000 }

// WriteJSON writes the report as JSON.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// The colours of a terminal (ECMA-48, SGR).
const (
	red   = "\x1b[31m"
	green = "\x1b[32m"
	plain = "\x1b[0m"
)

// WriteText writes the report as a table and the verdict below it, with colours when asked for.
func (r Report) WriteText(w io.Writer, colours bool) error {
	paint := func(s, colour string) string {
		if !colours {
			return s
		}
		return colour + s + plain
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-26s %8s %8s %7s %7s %7s %8s %10s %9s\n", "client", "requests", "right", "wrong", "empty", "errors", "executed", "longest", "put on a")
	fmt.Fprintf(&b, "%-26s %8s %8s %7s %7s %7s %8s %10s %9s\n", "", "", "", "", "", "", "twice", "stall", "dead conn")
	for _, c := range r.Clients {
		bad := func(n, width int) string {
			s := fmt.Sprintf("%*s", width, strconv.Itoa(n))
			if n > 0 {
				return paint(s, red)
			}
			return s
		}
		stall := fmt.Sprintf("%8.2f s", c.LongestStall)
		if c.LongestStall > judge.StallMax.Seconds() {
			stall = paint(stall, red)
		}
		fmt.Fprintf(&b, "%-26s %8d %8d %s %s %7d %s %s %s\n", c.Name, c.Requests, c.Right, bad(c.Wrong, 7), bad(c.Empty, 7), c.Errors,
			bad(c.Duplicates, 8), stall, bad(c.DeadLent, 9))
	}
	b.WriteString("\n")
	for _, e := range r.LeftOut {
		fmt.Fprintf(&b, "left out: %s: %s\n", e.Name, e.Why)
	}
	for _, line := range r.Verdict.Lines {
		b.WriteString(line + "\n")
	}
	if r.Verdict.Good {
		b.WriteString(paint("verdict: through Herz, nothing failed silently", green) + "\n")
	} else {
		b.WriteString(paint("verdict: FAILED, it was not shown that Herz keeps its promise", red) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
