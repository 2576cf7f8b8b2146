package top

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Screen says how a snapshot is drawn.
type Screen struct {
	Width, Height int  // in cells; Height 0: as high as it wants to be
	Color         bool // ANSI colours beside the letters, which say the same
	Selected      int  // the pool whose connections are shown, counted from 0; negative: all of them
	Note          string
}

// Render draws the snapshot now. Rates are those since before, and left out where it is nil.
func Render(now, before *Snapshot, s Screen) string {
	d := &drawing{Screen: s}
	p := now.Process
	d.line(plain, fmt.Sprintf("herz top · %s (%d on %s) · up %s · %s", clean(p.Name), p.PID, clean(p.Host), span(now.Uptime), clock(now.Now)))
	d.pools(now, before)
	switch {
	case len(now.Sources) == 0:
		d.line(plain, "The board has no pool.")
	case s.Selected < 0:
		for i := range now.Sources {
			d.wall(&now.Sources[i])
		}
	default:
		d.wall(&now.Sources[min(s.Selected, len(now.Sources)-1)])
	}
	if s.Note != "" {
		d.last(s.Note)
	}
	return d.String()
}

// look is how a piece of text is drawn.
type look string

// The looks, as parameters of ANSI's SGR.
const (
	plain look = ""
	head  look = "1"
	dim   look = "2"
	good  look = "32"
	used  look = "34"
	warn  look = "33"
	bad   look = "31"
	inv   look = "7"
)

type drawing struct {
	Screen

	lines []string
}

func (d *drawing) String() string {
	lines := d.lines
	if d.Height > 0 && len(lines) > d.Height {
		lines = lines[:d.Height]
	}
	return strings.Join(lines, "\n") + "\n"
}

func (d *drawing) paint(l look, text string) string {
	if !d.Color || l == plain {
		return text
	}
	return "\x1b[" + string(l) + "m" + text + "\x1b[0m"
}

func (d *drawing) line(l look, text string) {
	d.lines = append(d.lines, d.paint(l, fit(text, d.Width)))
}

// last puts a line at the bottom.
func (d *drawing) last(text string) {
	if d.Height > 0 {
		for len(d.lines) < d.Height-1 {
			d.lines = append(d.lines, "")
		}
		d.lines = d.lines[:d.Height-1]
	}
	d.line(dim, text)
}

const columns = "%-24s %6s %6s %6s %6s %11s %6s %8s %8s %8s %8s"

func (d *drawing) pools(now, before *Snapshot) {
	d.line(head, fmt.Sprintf("  "+columns, "POOL", "USED", "IDLE", "CHECK", "STALE", "OPEN/MAX", "WAIT", "OLDEST", "LOANS/s", "DIALS/s", "ENDED/s"))
	for i := range now.Sources {
		src := &now.Sources[i]
		st, most := src.Stats, "-"
		if src.Limits != nil {
			most = strconv.Itoa(src.Limits.MaxOpen)
		}
		loans, dials, ended := rates(now, before, src)
		mark := "  "
		if i == d.Selected {
			mark = "> "
		}
		text := fmt.Sprintf(mark+columns, fit(clean(src.Name), 24), itoa(st.InUse), itoa(st.Idle), itoa(st.Checking), itoa(st.Stale),
			itoa(st.Open)+"/"+most, itoa(st.Waiting), wait(st), loans, dials, ended)
		l := plain
		switch {
		case st.OldestWait >= 1 || st.LastDialError != "":
			l = bad
		case st.Waiting > 0 || st.Stale > 0:
			l = warn
		case i == d.Selected:
			l = inv
		}
		d.line(l, text)
	}
}

func wait(st Stats) string {
	if st.Waiting == 0 {
		return "-"
	}
	return span(st.OldestWait)
}

func rates(now, before *Snapshot, src *Source) (loans, dials, ended string) {
	was := before.find(src.ID, src.Name)
	if was == nil || now.Uptime <= before.Uptime {
		return "-", "-", "-"
	}
	per := func(a, b uint64) string {
		if a < b {
			return "-"
		}
		return strconv.FormatFloat(float64(a-b)/(now.Uptime-before.Uptime), 'f', 1, 64)
	}
	return per(src.Stats.Acquires, was.Stats.Acquires), per(src.Stats.Dials, was.Stats.Dials), per(src.Stats.closed(), was.Stats.closed())
}

// heights are bars for the idle age of a connection.
var heights = []rune("▁▂▃▄▅▆▇█")

// tile is one connection as one letter, which says its state without colour too.
func tile(c Conn) (rune, look) {
	switch c.State {
	case "idle":
		return heights[bar(c.Idle)], good
	case "in_use":
		return 'U', used
	case "checking":
		return '?', head
	case "stale":
		return '!', warn
	case "closing":
		return 'x', dim
	default:
		return '+', dim
	}
}

// bar is the height for an idle age, where one second, ten, a minute and ten stand apart.
func bar(idle float64) int {
	part := math.Log10(1+max(idle, 0)) / math.Log10(601)
	return min(int(part*float64(len(heights))), len(heights)-1)
}

const legend = "▁…█ idle for 0 s…10 min   U in use   ? checking   ! stale   x closing"

func (d *drawing) wall(src *Source) {
	d.line(plain, "")
	title := fmt.Sprintf("%s: %d connections, oldest first   %s", clean(src.Name), src.Stats.Open, legend)
	d.line(head, title)
	var b strings.Builder
	n := 0
	flush := func() {
		if n > 0 {
			d.lines = append(d.lines, "  "+b.String())
			b.Reset()
			n = 0
		}
	}
	for _, c := range src.Conns {
		r, l := tile(c)
		b.WriteString(d.paint(l, string(r)))
		if n++; n >= max(d.Width-4, 1) {
			flush()
		}
	}
	flush()
	if src.Left > 0 {
		d.line(dim, fmt.Sprintf("  and %d more", src.Left))
	}
	if src.Stats.LastDialError != "" {
		d.line(bad, "  the newest dial failed: "+clean(src.Stats.LastDialError))
	}
	for _, u := range src.Unseen {
		d.line(bad, fmt.Sprintf("  %d results were cut short and nobody looked, at %s", u.Count, clean(u.Site)))
	}
	d.endings(src)
}

func (d *drawing) endings(src *Source) {
	d.line(plain, "")
	if len(src.Deaths) == 0 {
		d.line(dim, "No connection has ended.")
		return
	}
	d.line(head, "Newest that ended")
	for _, e := range src.Deaths {
		l := bad
		if e.Ours {
			l = dim
		}
		text := fmt.Sprintf("  #%-8d %-14s %-22s idle %-8s age %-8s %s", e.ID, clean(e.Cause), clean(e.Peer), span(e.Idle), span(e.Age), clean(e.Words))
		if e.Sent > 0 && e.Phase == "processing" {
			text += fmt.Sprintf(", %d bytes of a request had left", e.Sent)
		}
		if e.Detail != "" {
			text += ": " + clean(e.Detail)
		}
		d.line(l, text)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// span is a time of seconds in at most seven letters.
func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	default:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}

// clock is the time of day of an RFC 3339 time.
func clock(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return "?"
	}
	return t.Format("15:04:05") + " UTC"
}

// clean makes the words of others harmless: one line, and nothing that moves the cursor.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, text)
}

// fit cuts a line that is too long.
func fit(text string, width int) string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	cut := []rune(text)[:width]
	cut[width-1] = '…'
	return string(cut)
}
