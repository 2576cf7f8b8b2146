package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// The exit codes.
const (
	Good   = 0
	Failed = 1
	Usage  = 2
)

// System is what a command has of the system it runs on.
type System struct {
	Args []string
	Out  io.Writer
	Err  io.Writer
	Env  func(string) string
}

const overview = `herz finds and ends connections that fail silently.

Usage:
  herz demo [flags]     see pools fail silently, and Herz not fail
  herz demo --help      its flags, with examples
`

// Main runs one command until it is done or ctx ends, and gives the exit code.
func Main(ctx context.Context, s System) int {
	if len(s.Args) == 0 {
		_, _ = io.WriteString(s.Err, overview)
		return Usage
	}
	var err error
	code := Good
	switch name := s.Args[0]; name {
	case "demo":
		code, err = runDemo(ctx, s, s.Args[1:])
	case "help", "-h", "-help", "--help":
		_, err = io.WriteString(s.Out, overview)
	default:
		err = fmt.Errorf("there is no command %q; the command is \"herz demo\"", name)
		code = Usage
	}
	if errors.Is(err, errHelp) {
		return Good
	}
	if err != nil {
		_, _ = fmt.Fprintf(s.Err, "herz: %v\n", err)
		return max(code, Failed)
	}
	return code
}
