//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"herz.example/herz/guard"
)

func TestMissedBarIsNeverCalledMet(t *testing.T) {
	slow := 2.1
	for name, c := range map[string]struct {
		bars bars
		f    figures
	}{
		"duplicate":           {bars{errors: anyError}, figures{Duplicates: 1}},
		"lost":                {bars{errors: anyError}, figures{Lost: 1}},
		"silent short result": {bars{errors: anyError}, figures{Short: 1}},
		"dead lent":           {bars{errors: anyError}, figures{DeadLent: 1}},
		"hanging":             {bars{errors: anyError}, figures{Hung: 1}},
		"frozen call":         {bars{errors: anyError}, figures{InFlightErrors: 1}},
		"error":               {bars{}, figures{Errors: 1}},
		"stall":               {bars{stall: barIdle}, figures{Stall: 0.51}},
		"seventh ambiguous":   {bars{young: true}, figures{Errors: 7, Ambiguous: 7}},
		"other error":         {bars{young: true}, figures{Errors: 1}},
		"dishonest":           {bars{errors: anyError, honest: true}, figures{Errors: 2, Ambiguous: 1}},
		"stale":               {bars{stale: barStale}, figures{Stale: &slow}},
		"stale for ever":      {bars{stale: barStale}, figures{}},
		"write elsewhere":     {bars{writable: barWritable}, figures{Writable: &slow}},
		"no write elsewhere":  {bars{writable: barWritable}, figures{}},
		"dials":               {bars{dials: 2}, figures{Dials: &slow}},
		"dials not counted":   {bars{dials: 2}, figures{}},
	} {
		if m := missed(c.bars.judge(c.f)); len(m) != 1 {
			t.Errorf("%s: missed %v, want one bar", name, m)
		}
	}
	good := 1.9
	fine := figures{Stall: 0.5, Stale: &good, Writable: &good, Dials: &good}
	if m := missed((bars{stall: barIdle, stale: barStale, writable: barWritable, dials: 2}).judge(fine)); len(m) != 0 {
		t.Errorf("met, and called missed: %v", m)
	}
}

func TestWritesAreCountedOnTheServer(t *testing.T) {
	ops := []op{
		{write: true, id: 1},
		{write: true, id: 2},
		{write: true, id: 3, err: errors.New("lost")},
		{write: true, id: 4, err: errors.New("lost")},
		{write: true, id: 5, hung: true},
		{},
	}
	var f figures
	f.account(ops, map[int]int{1: 1, 3: 1, 4: 3})
	if f.Acknowledged != 2 || f.Lost != 1 || f.Duplicates != 2 {
		t.Errorf("%+v, want 2 acknowledged, 1 lost, 2 too many", f)
	}
}

func TestErrorIsChargedToWhoeverLentTheConnection(t *testing.T) {
	at := time.Now()
	usable := at.Add(time.Second)
	late := op{begun: usable.Add(time.Second), ended: usable.Add(2 * time.Second)}
	with := func(o op, err error) op { o.err = err; return o }
	for name, c := range map[string]struct {
		ops   []op
		young bool
		want  int
	}{
		"while the server was away":        {[]op{with(op{begun: at, ended: usable}, errors.New("reset"))}, false, 0},
		"when it was back":                 {[]op{with(late, errors.New("reset"))}, false, 1},
		"of a dial":                        {[]op{with(late, &net.OpError{Op: "dial", Err: errors.New("refused")})}, false, 0},
		"of a read":                        {[]op{with(late, &net.OpError{Op: "read", Err: errors.New("reset")})}, false, 1},
		"of a connection too young to ask": {[]op{with(late, guard.ErrAmbiguous)}, true, 0},
		"before the fault":                 {[]op{{begun: at.Add(-2 * time.Second), ended: at.Add(-time.Second)}}, false, 0},
	} {
		var f figures
		f.sum(c.ops, at, usable, c.young)
		if f.DeadLent != c.want {
			t.Errorf("an error %s: %d dead lent, want %d", name, f.DeadLent, c.want)
		}
	}
	var f figures
	f.sum([]op{{begun: at.Add(-time.Second), ended: at.Add(3 * time.Second)}, late}, at, usable, false)
	if f.Stall != 3 || f.Calls != 2 {
		t.Errorf("stall %v in %d calls, want 3 s from the fault in 2", f.Stall, f.Calls)
	}
}

func TestWrongCommandLineIsRefused(t *testing.T) {
	for _, args := range [][]string{{"--only", "no such cell"}, {"-o", "xml"}, {"--side-by-side", "0"}, {"stray"}, {"--nonsense"}} {
		var out, log bytes.Buffer
		if code := command(context.Background(), args, &out, &log); code != 2 || log.Len() == 0 || out.Len() != 0 {
			t.Errorf("%v: exit code %d, said %q", args, code, log.String())
		}
	}
	var out, log bytes.Buffer
	if code := command(context.Background(), []string{"--list", "--only", "half-open/MariaDB/mysql/pooled"}, &out, &log); code != 0 ||
		strings.Count(out.String(), "\n") != 2 { // the one under TLS has it in its name too
		t.Errorf("--list: exit code %d, %q, %q", code, out.String(), log.String())
	}
}

func TestPageShowsWhatWasMissed(t *testing.T) {
	var cells []cell
	for _, f := range faults {
		for _, s := range specs {
			cells = append(cells, cell{Fault: f.name, Server: s.product.String(), Driver: s.driver, Mode: s.mode, Load: "0.5"})
		}
	}
	late := 1.0
	for i := range cells {
		cells[i].Figures.Stale, cells[i].Figures.Writable, cells[i].Figures.Dials = &late, &late, &late
	}
	bad := &cells[1] // mysql, guarded
	bad.Figures.Duplicates = 1
	bad.Missed = missed(faultNamed(bad.Fault).bars.judge(bad.Figures))
	cells[3].Failed = "no server"
	r := newReport(machine{}, map[string]string{"Go": "1"}, cells)
	page := r.markdown()
	if r.Missed != 1 || r.Failed != 1 {
		t.Errorf("%d missed and %d failed, want 1 of each", r.Missed, r.Failed)
	}
	for _, want := range []string{"1 of them were missed", "**0 / 0.00 D1**", "restart/MariaDB/mysql/guarded: duplicates ≤ 0; it was 1.", "not tried"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	dir := t.TempDir()
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	again := cells[1]
	again.Figures.Duplicates, again.Missed = 0, nil
	all, err := merge(dir, []cell{again})
	if err != nil {
		t.Fatal(err)
	}
	if after := newReport(machine{}, nil, all); after.Missed != 0 || !all[1].Rerun || len(all) != len(cells) {
		t.Errorf("%d missed of %d cells after the cell was tried again, marked %v", after.Missed, len(all), all[1].Rerun)
	}
	if _, err := merge(t.TempDir(), []cell{again}); err == nil {
		t.Error("cells were put into a matrix that is not there")
	}
}
