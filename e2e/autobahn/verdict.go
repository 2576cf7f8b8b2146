//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// agent is who was tested, and what became of each case.
type agent struct {
	name  string
	cases map[string]finding
}

// finding is the suite's own.
type finding struct {
	Behavior string `json:"behavior"`
	Close    string `json:"behaviorClose"`
}

// passed: as the RFC has it. NON-STRICT is allowed by it where the RFC leaves the moment open; INFORMATIONAL asks for nothing.
func (f finding) passed() bool {
	ok := func(s string) bool { return s == "OK" || s == "NON-STRICT" || s == "INFORMATIONAL" }
	return ok(f.Behavior) && ok(f.Close)
}

// parse reads the suite's index.json.
func parse(raw []byte) ([]agent, error) {
	var index map[string]map[string]finding
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("the suite's results: %w", err)
	}
	var list []agent
	for _, name := range slices.Sorted(maps.Keys(index)) {
		if len(index[name]) == 0 {
			return nil, fmt.Errorf("the suite's results: %s has no case", name)
		}
		list = append(list, agent{name, index[name]})
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the suite's results: nobody was tested")
	}
	return list, nil
}

// table has a row for each agent, and a line for each case that is not simply OK.
func table(all []agent) string {
	var b strings.Builder
	b.WriteString("| tested | cases | OK | non-strict | informational | not passed |\n|---|--:|--:|--:|--:|--:|\n")
	var rest strings.Builder
	for _, a := range all {
		var ok, loose, told, bad int
		for _, id := range slices.SortedFunc(maps.Keys(a.cases), byNumber) {
			f := a.cases[id]
			switch {
			case !f.passed():
				bad++
			case f.Behavior == "NON-STRICT":
				loose++
			case f.Behavior == "INFORMATIONAL":
				told++
			default:
				ok++
				continue
			}
			fmt.Fprintf(&rest, "%s: case %s: %s, at its close %s\n", a.name, id, f.Behavior, f.Close)
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d |\n", a.name, len(a.cases), ok, loose, told, bad)
	}
	return b.String() + "\n" + rest.String()
}

// byNumber puts 10.1 behind 9.1.
func byNumber(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		n, err := strconv.Atoi(x)
		m, other := strconv.Atoi(y)
		if err != nil || other != nil {
			return cmp.Compare(x, y)
		}
		return cmp.Compare(n, m)
	})
}

func judge(all []agent) error {
	bad := 0
	for _, a := range all {
		for _, f := range a.cases {
			if !f.passed() {
				bad++
			}
		}
	}
	if bad > 0 {
		return fmt.Errorf("%w: %d (--reports FOLDER keeps what was said)", errCases, bad)
	}
	return nil
}
