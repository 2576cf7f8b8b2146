package herzconfig

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says how bad a problem is.
type Severity uint8

// The severities. A file with an error is not used; a warning only says what should be written otherwise.
const (
	Error Severity = iota + 1
	Warning
)

// String gives "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// MarshalText gives the same, for JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Position is a place in a file; lines and columns count from 1, columns in characters.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Problem is one thing that is wrong with a file.
type Problem struct {
	File string `json:"file"`
	Position
	Severity Severity `json:"severity"`
	Key      string   `json:"key"`     // such as pools.orders.maxOpen; empty when it is about no key
	Message  string   `json:"message"` // what is wrong and what to change; it shows no secret
}

// String gives the problem in the form of compilers, on which editors can jump.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %v: %s", p.File, p.Line, p.Column, p.Severity, p.Message)
}

// Problems are what is wrong with a file, in the order of the file.
type Problems []Problem

// Errors are those that keep the file from being used.
func (p Problems) Errors() Problems { return p.of(Error) }

// Warnings are the others.
func (p Problems) Warnings() Problems { return p.of(Warning) }

func (p Problems) of(s Severity) Problems {
	return slices.DeleteFunc(slices.Clone(p), func(one Problem) bool { return one.Severity != s })
}

// Err is nil when there are no errors, else an [*InvalidError] that has them.
func (p Problems) Err() error {
	if e := p.Errors(); len(e) > 0 {
		return &InvalidError{Problems: e}
	}
	return nil
}

// InvalidError says that a file cannot be used, and each reason.
type InvalidError struct{ Problems Problems }

// Error gives a line for each problem.
func (e *InvalidError) Error() string {
	lines := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	return "herz/herzconfig: " + strings.Join(lines, "\n")
}

func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return p
}
