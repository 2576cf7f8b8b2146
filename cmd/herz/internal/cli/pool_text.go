package cli

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// The types below are what text output needs of the board's JSON, which docs/control.md describes.

type poolFacts struct {
	Ref          string         `json:"ref"`
	Kind         string         `json:"kind"`
	Controllable bool           `json:"controllable"`
	WhyNot       string         `json:"why_not"`
	Busy         string         `json:"busy"`
	NumActive    int            `json:"num_active"`
	NumIdle      int            `json:"num_idle"`
	Stats        poolStats      `json:"stats"`
	Limits       map[string]any `json:"limits"`
}

type poolStats struct {
	Generation    uint64            `json:"generation"`
	Open          int               `json:"open"`
	Checking      int               `json:"checking"`
	Stale         int               `json:"stale"`
	Closing       int               `json:"closing"`
	Dialing       int               `json:"dialing"`
	Waiting       int               `json:"waiting"`
	OldestWait    float64           `json:"oldest_wait_seconds"`
	Acquires      uint64            `json:"acquires"`
	LastDialError string            `json:"last_dial_error"`
	Closed        map[string]uint64 `json:"closed"`
}

type boardControl struct {
	Enabled bool   `json:"enabled"`
	By      string `json:"by"`
}

func (c boardControl) words() string {
	if !c.Enabled {
		return "the board only shows"
	}
	return "control by " + c.By
}

type poolList struct {
	Control boardControl `json:"control"`
	Pools   []poolFacts  `json:"pools"`
}

func table(b *bytes.Buffer) *tabwriter.Writer { return tabwriter.NewWriter(b, 0, 0, 2, ' ', 0) }

func (l *poolList) text(b *bytes.Buffer) {
	if len(l.Pools) == 0 {
		b.WriteString("the board has no pool\n")
		return
	}
	t := table(b)
	fmt.Fprintln(t, "POOL\tACTIVE\tIDLE\tSTALE\tOPEN\tMAX\tWAITING\tGENERATION\tNOTE")
	for _, p := range l.Pools {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%d\t%d\t%s\n", printable(p.Ref), p.NumActive, p.NumIdle, p.Stats.Stale, p.Stats.Open, number(p.Limits["max_open"]),
			p.Stats.Waiting, p.Stats.Generation, p.note())
	}
	_ = t.Flush() // to a buffer
	fmt.Fprintf(b, "(%s)\n", l.Control.words())
}

// printable keeps the words of others, such as what a program called its pool and what a server said, from moving the cursor.
func printable(name string) string {
	if q := strconv.Quote(name); q != `"`+name+`"` {
		return q
	}
	return name
}

func (p *poolFacts) note() string {
	switch {
	case p.Busy != "":
		return p.Busy + " is under way"
	case !p.Controllable:
		return "only shown: " + printable(p.WhyNot)
	case p.Stats.LastDialError != "":
		return "the newest dial failed"
	default:
		return ""
	}
}

type poolDetail struct {
	Control boardControl `json:"control"`
	poolFacts
	Conns []struct {
		ID    uint64  `json:"id"`
		State string  `json:"state"`
		Peer  string  `json:"peer"`
		Age   float64 `json:"age_seconds"`
		Idle  float64 `json:"idle_seconds"`
		Held  float64 `json:"held_seconds"`
		Uses  uint64  `json:"uses"`
		Cause string  `json:"cause"`
	} `json:"conns"`
	ConnsLeftOut int `json:"conns_left_out"`
	Deaths       []struct {
		ID     uint64  `json:"id"`
		Peer   string  `json:"peer"`
		Cause  string  `json:"cause"`
		Words  string  `json:"words"`
		Age    float64 `json:"age_seconds"`
		Detail string  `json:"detail"`
	} `json:"deaths"`
	Unasked []struct {
		Site  string `json:"site"`
		Count uint64 `json:"count"`
		Last  string `json:"last"`
	} `json:"unasked"`
}

// deathsShown is how many of the newest deaths are printed; the JSON has all.
const deathsShown = 10

func (p *poolDetail) text(b *bytes.Buffer) {
	s := p.Stats
	fmt.Fprintf(b, "%s: %d open (%d active, %d idle, %d checking, %d stale, %d closing), %d dialing, %d waiting",
		printable(p.Ref), s.Open, p.NumActive, p.NumIdle, s.Checking, s.Stale, s.Closing, s.Dialing, s.Waiting)
	if s.Waiting > 0 {
		fmt.Fprintf(b, " (the oldest for %s)", lasting(s.OldestWait))
	}
	fmt.Fprintf(b, "; generation %d; %d loans; %s\n", s.Generation, s.Acquires, p.Control.words())
	if note := p.note(); note != "" {
		fmt.Fprintf(b, "note: %s\n", note)
	}
	if s.LastDialError != "" {
		fmt.Fprintf(b, "the newest dial failed: %s\n", printable(s.LastDialError))
	}
	if len(s.Closed) > 0 {
		b.WriteString("ended:")
		for _, cause := range slices.Sorted(maps.Keys(s.Closed)) {
			fmt.Fprintf(b, " %s %d", cause, s.Closed[cause])
		}
		b.WriteByte('\n')
	}
	for _, u := range p.Unasked {
		fmt.Fprintf(b, "results cut short, and nobody looked: %d at %s, last seen at %s\n", u.Count, printable(u.Site), u.Last)
	}
	b.WriteByte('\n')
	(&limitsOnly{Limits: p.Limits}).text(b)
	p.conns(b)
	if len(p.Deaths) > 0 {
		b.WriteString("\nnewest that ended:\n")
		for _, d := range p.Deaths[:min(len(p.Deaths), deathsShown)] {
			fmt.Fprintf(b, "  #%d to %s, aged %s: %s (%s)", d.ID, printable(d.Peer), lasting(d.Age), printable(d.Words), printable(d.Cause))
			if d.Detail != "" {
				fmt.Fprintf(b, ": %s", printable(d.Detail))
			}
			b.WriteByte('\n')
		}
	}
}

func (p *poolDetail) conns(b *bytes.Buffer) {
	if len(p.Conns) == 0 {
		return
	}
	b.WriteByte('\n')
	t := table(b)
	fmt.Fprintln(t, "CONNECTION\tSTATE\tPEER\tAGE\tIDLE\tHELD\tUSES\tWHY UNFIT")
	for _, c := range p.Conns {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n",
			c.ID, printable(c.State), printable(c.Peer), lasting(c.Age), lasting(c.Idle), lasting(c.Held), c.Uses, c.Cause)
	}
	_ = t.Flush() // to a buffer
	if p.ConnsLeftOut > 0 {
		fmt.Fprintf(b, "%d more are not listed\n", p.ConnsLeftOut)
	}
}

// limitsOnly is a pool of which only the limits are wanted.
type limitsOnly struct {
	Limits map[string]any `json:"limits"`
}

func (l *limitsOnly) text(b *bytes.Buffer) {
	t := table(b)
	fmt.Fprintln(t, "LIMIT\tVALUE")
	for _, name := range slices.Sorted(maps.Keys(l.Limits)) {
		fmt.Fprintf(t, "%s\t%s\n", name, value(name, l.Limits[name]))
	}
	_ = t.Flush() // to a buffer
}

// value is a limit as a person reads it.
func value(name string, v any) string {
	x, isNumber := v.(float64)
	switch {
	case isNumber && x < 0:
		return "off"
	case isNumber && strings.HasSuffix(name, "_seconds"):
		return time.Duration(x * float64(time.Second)).String()
	default:
		return number(v)
	}
}

func number(v any) string {
	if x, ok := v.(float64); ok {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

func lasting(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d > time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

type poolAnswer struct {
	Event struct {
		ID      uint64         `json:"id"`
		Action  string         `json:"action"`
		Pool    string         `json:"pool"`
		Before  map[string]any `json:"before"`
		After   map[string]any `json:"after"`
		Closed  int            `json:"closed"`
		Seconds float64        `json:"seconds"`
	} `json:"event"`
	Pool poolFacts `json:"pool"`
}

func (a *poolAnswer) text(b *bytes.Buffer) {
	e := a.Event
	left := fmt.Sprintf("%d open, %d active, %d idle", a.Pool.Stats.Open, a.Pool.NumActive, a.Pool.NumIdle)
	fmt.Fprintf(b, "%s: ", printable(e.Pool))
	switch e.Action {
	case "evict":
		fmt.Fprintf(b, "%d closed; %s", e.Closed, left)
	case "invalidate":
		fmt.Fprintf(b, "generation %s → %s; %s", number(e.Before["generation"]), number(e.After["generation"]), left)
	case "drain":
		fmt.Fprintf(b, "drained and closed; %s", left)
	case "limits":
		for i, name := range slices.Sorted(maps.Keys(e.After)) {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(b, "%s %s → %s", name, value(name, e.Before[name]), value(name, e.After[name]))
		}
	}
	fmt.Fprintf(b, " (%s, audit %d)\n", lasting(e.Seconds), e.ID)
}
