package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Summary is what a run found out.
type Summary struct {
	Killed    int      `json:"killed"`
	TimedOut  int      `json:"timed_out"`
	NotBuilt  int      `json:"not_built"`
	Named     int      `json:"survived_named"`
	Unnamed   int      `json:"survived_unnamed"`
	Share     float64  `json:"share_killed"` // of those that were built
	Survivors []Result `json:"survivors"`
}

func summarize(results []Result) Summary {
	var s Summary
	for _, r := range results {
		switch r.Verdict {
		case Killed:
			s.Killed++
		case TimedOut:
			s.TimedOut++
		case NotBuilt:
			s.NotBuilt++
		case Survived:
			if r.Reason == "" {
				s.Unnamed++
			} else {
				s.Named++
			}
			s.Survivors = append(s.Survivors, r)
		case Undecided:
		}
	}
	dead := s.Killed + s.TimedOut
	if built := dead + s.Named + s.Unnamed; built > 0 {
		s.Share = float64(dead) / float64(built)
	}
	slices.SortFunc(s.Survivors, func(a, b Result) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, strings.Compare(a.Operator, b.Operator))
	})
	return s
}

// report prints the summary. Good: the bar is reached and every survivor has a name.
func report(out io.Writer, results []Result, form string) (good bool, err error) {
	s := summarize(results)
	good = s.Share >= bar && s.Unnamed == 0
	if form == "json" {
		enc := json.NewEncoder(out)
		enc.SetIndent("", " ")
		return good, enc.Encode(s)
	}
	for _, r := range s.Survivors {
		_, _ = fmt.Fprintf(out, "%s:%d %s: %s: %q → %q\n", r.File, r.Line, r.Function, r.Operator, r.Before, r.After)
		if r.Reason != "" {
			_, _ = fmt.Fprintf(out, "    harmless: %s\n", r.Reason)
		}
	}
	_, err = fmt.Fprintf(out, "%d killed, %d timed out, %d survived with a name, %d without, %d not built: %.1f %% killed, the bar is %.0f %%\n",
		s.Killed, s.TimedOut, s.Named, s.Unnamed, s.NotBuilt, 100*s.Share, 100*bar)
	return good, err
}

// readHarmless reads the survivors that were looked at: a line each, the key, " # ", and why it does no harm.
func readHarmless(path string) (map[string]string, error) {
	names := map[string]string{}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return names, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the harmless ones: %w", err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, reason, ok := strings.Cut(line, " # ")
		if !ok || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s:%d: no reason: write the mutant's key, then %q and why it does no harm", path, n, " # ")
		}
		names[strings.TrimSpace(key)] = strings.TrimSpace(reason)
	}
	return names, lines.Err()
}
