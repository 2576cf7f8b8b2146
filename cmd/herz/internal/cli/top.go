package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"herz.example/herz/cmd/herz/internal/top"
)

const topHelp = `Usage: herz top [ADDR] [flags]

Shows the pools of a running program in a terminal, through its board (/debug/herz/): their numbers and rates, a letter
for each connection, and why the newest ended. Arrow keys, the wheel or a click choose the pool, p pauses, q quits.

Flags:
  --addr ADDR        the board: host:port, or its whole address (default 127.0.0.1:6060); ADDR says the same
  --every TIME       between two questions (default 1s, at least 200ms)
  --once             print one screen, without colour or control, and end; what is done when there is no terminal
  --token-file FILE  the board's token, for a board on another machine; without the flag it is taken from HERZ_TOKEN
  --plain-http       send the token without TLS to another machine
  -o FORMAT          of --once: text, or json, which is the board's snapshot (default text; docs/board.md describes it)

Exit code: 0 when it was shown, 1 when the program cannot be reached, 2 when the flags or the token cannot work.

Examples:
  herz top
  herz top 10.0.0.7:6060 --token-file token --plain-http
  herz top --once -o json
`

type topOrder struct {
	boardFlags

	format string
	every  time.Duration
	once   bool
}

// onceWidth is the width of a screen that is printed: logs and mails wrap what is longer.
const onceWidth = 160

func runTop(ctx context.Context, s System, args []string) (int, error) {
	o, err := topFlags(s, args)
	if err != nil {
		return Usage, err
	}
	board, err := newBoardClient(&o.boardFlags, s.Env)
	if err != nil {
		return Usage, err
	}
	out, screen := s.Out.(*os.File)
	in, keys := s.In.(*os.File)
	if o.once || !screen || !keys || !terminal(out) || !terminal(in) {
		err = topOnce(ctx, s.Out, board, o.format)
	} else {
		err = top.Run(ctx, board.snapshot, o.every, s.Env("NO_COLOR") == "", in, out)
	}
	var why *boardError
	switch {
	case err == nil:
		return Good, nil
	case errors.As(err, &why):
		return why.exit, err
	default:
		return Failed, err
	}
}

func topFlags(s System, args []string) (*topOrder, error) {
	o := &topOrder{}
	f := flag.NewFlagSet("top", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	o.register(f)
	f.DurationVar(&o.every, "every", time.Second, "")
	f.BoolVar(&o.once, "once", false, "")
	f.StringVar(&o.format, "o", "text", "")
	words, err := interleaved(f, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err = io.WriteString(s.Out, topHelp)
		return nil, errors.Join(errHelp, err)
	case err != nil:
		return nil, wrongFlag(err, "top")
	case len(words) > 1:
		return nil, fmt.Errorf("herz top takes one address, but %q follows it", words[1])
	case o.format != "text" && o.format != "json":
		return nil, fmt.Errorf("-o is %q; use text or json", o.format)
	case o.format == "json" && !o.once:
		return nil, errors.New("-o json is for one snapshot; add --once")
	case o.every < 200*time.Millisecond || o.every > time.Hour:
		return nil, fmt.Errorf("--every is %v; give a time from 200ms to 1h", o.every)
	}
	if len(words) == 1 {
		o.addr = words[0]
	}
	return o, nil
}

func topOnce(ctx context.Context, out io.Writer, board *boardClient, format string) error {
	var s top.Snapshot
	raw, err := board.look(ctx, "snapshot", &s)
	if err != nil {
		return err
	}
	if format == "json" {
		_, err = out.Write(raw)
		return err
	}
	_, err = io.WriteString(out, top.Render(&s, nil, top.Screen{Width: onceWidth, Selected: -1}))
	return err
}

// snapshot asks the board what there is.
func (c *boardClient) snapshot(ctx context.Context) (*top.Snapshot, error) {
	var s top.Snapshot
	_, err := c.look(ctx, "snapshot", &s)
	return &s, err
}
