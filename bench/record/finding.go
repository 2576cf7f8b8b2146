package record

import (
	"fmt"
	"strings"
)

// Finding is a target and what came of it.
type Finding struct {
	What     string  `json:"what"`
	Row      string  `json:"row"`
	Must     float64 `json:"must"`
	Aim      float64 `json:"aim,omitempty"`      // 0: there is none
	AtLeast  bool    `json:"at_least,omitempty"` // more is better; otherwise less
	Measured float64 `json:"measured"`
	Windows  int     `json:"windows"`
	Verdict  string  `json:"verdict"` // met, aim met, missed, or no valid window
}

// Settle fills the verdict in.
func (f Finding) Settle(measured float64, windows int) Finding {
	f.Measured, f.Windows = measured, windows
	switch {
	case windows == 0:
		f.Verdict = "no valid window"
	case f.Aim > 0 && f.reaches(f.Aim):
		f.Verdict = "aim met"
	case f.reaches(f.Must):
		f.Verdict = "met"
	default:
		f.Verdict = "missed"
	}
	return f
}

func (f Finding) reaches(target float64) bool {
	if f.AtLeast {
		return f.Measured >= target
	}
	return f.Measured <= target
}

func (f Finding) target(v float64) string {
	switch {
	case v == 0:
		return ""
	case f.AtLeast:
		return fmt.Sprintf("≥ %g", v)
	default:
		return fmt.Sprintf("≤ %g", v)
	}
}

// Missed reports whether a target was not reached, or could not be judged.
func Missed(list []Finding) bool {
	for _, f := range list {
		if f.Verdict == "missed" || f.Verdict == "no valid window" {
			return true
		}
	}
	return false
}

// Targets writes the findings as a table of Markdown. Windows is what the verdicts rest on: "windows", "pairs".
func Targets(b *strings.Builder, list []Finding, windows string) {
	fmt.Fprintf(b, "## Targets\n\n| what | must | aim | measured | %s | verdict |\n|---|--:|--:|--:|--:|---|\n", windows)
	for _, f := range list {
		measured := "none"
		if f.Windows > 0 {
			measured = fmt.Sprintf("%.3f", f.Measured)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %d | %s |\n", f.What, f.target(f.Must), f.target(f.Aim), measured, f.Windows, f.Verdict)
	}
}
