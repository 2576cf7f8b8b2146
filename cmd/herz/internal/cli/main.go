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
	In   io.Reader // nil: nothing can be asked
	Out  io.Writer
	Err  io.Writer
	Env  func(string) string
}

const overview = `herz finds and ends connections that fail silently.

Usage:
  herz demo [flags]     see pools fail silently, and Herz not fail
  herz demo --help      its flags, with examples
  herz pool VERB        look at the pools of a running program, and change them
  herz top [ADDR]       the same in a terminal, live
  herz config validate FILE...   say all that is wrong with a herz-config.yaml
  herz config schema    print the JSON Schema of herz-config.yaml
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
	case "pool":
		code, err = runPool(ctx, s, s.Args[1:])
	case "top":
		code, err = runTop(ctx, s, s.Args[1:])
	case "config":
		code, err = runConfig(ctx, s, s.Args[1:])
	case "help", "-h", "-help", "--help":
		_, err = io.WriteString(s.Out, overview)
	default:
		err = fmt.Errorf("there is no command %q; the commands are \"herz demo\", \"herz pool\", \"herz top\" and \"herz config\"", name)
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
