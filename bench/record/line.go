package record

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// ErrUsage marks errors of the command line.
var ErrUsage = errors.New("wrong usage")

// ErrMissed is the error of --strict.
var ErrMissed = errors.New("a target was missed, or could not be judged: see the verdict")

// Line is a bench's command line: what all have, and the flags that each adds.
type Line struct {
	*flag.FlagSet

	Strict bool   // a missed target is an error
	Dir    string // folder of the results; empty: none are written
	Form   string // text or json
}

// NewLine gives the command line of a bench. Its help goes to log.
func NewLine(name, usage string, log io.Writer) *Line {
	l := &Line{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError)}
	l.SetOutput(log)
	l.Usage = func() { _, _ = io.WriteString(log, usage); l.PrintDefaults() }
	l.BoolVar(&l.Strict, "strict", false, "exit with 1 when a target is missed")
	l.StringVar(&l.Dir, "out", "bench/results", "folder of the results; empty: none are written")
	l.StringVar(&l.Form, "o", "text", "what is printed: text or json")
	return l
}

// Parse reads the arguments. What is wrong with them is an [ErrUsage]; flag.ErrHelp is given back as it is.
func (l *Line) Parse(args []string) error {
	err := l.FlagSet.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUsage, err)
	case l.NArg() > 0:
		return fmt.Errorf("%w: %q is no flag; see --help", ErrUsage, l.Arg(0))
	case l.Form != "text" && l.Form != "json":
		return fmt.Errorf("%w: output %q is unknown: use -o text or -o json", ErrUsage, l.Form)
	}
	return nil
}

// Judge is the error that --strict makes of missed targets.
func (l *Line) Judge(list []Finding) error {
	if l.Strict && Missed(list) {
		return ErrMissed
	}
	return nil
}

// ExitCode tells an error of a bench, and gives its exit code.
func ExitCode(name string, err error, log io.Writer) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	_, _ = fmt.Fprintf(log, "herz/%s: %v\n", name, err)
	if errors.Is(err, ErrUsage) {
		return 2
	}
	return 1
}
