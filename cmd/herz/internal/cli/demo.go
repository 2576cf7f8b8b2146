package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"herz.example/herz/cmd/herz/internal/demo"
	"herz.example/herz/cmd/herz/internal/demo/script"
)

var errHelp = errors.New("help was asked for")

const demoHelp = `Usage: herz demo [flags]

Runs five clients side by side through the same faults: the pool of the article, database/sql and go-redis
as people use them today, and the same two through Herz. Prints the address of a live page, and at the end a
table with the verdict. Without --once and --duration the script repeats until Ctrl-C.

Flags:
  --once            the script once, then end (about 70 s)
  --duration TIME   end after this time, such as 30s or 2m
  --fault NAME      only this fault; may be given several times. Faults:
%s  --addr ADDR       where the page listens, on loopback (default: a free port of 127.0.0.1)
  --mysql DSN       a real MySQL or MariaDB server, such as user:password@tcp(127.0.0.1:3306)/database
  --redis ADDR      a real Redis server, such as 127.0.0.1:6379
  --seed N          of what is random (default 1)
  -o FORMAT         text or json (default text)

Exit code: 0 when both clients through Herz kept their promise, 1 when one did not, 2 when the flags cannot work.

Examples:
  herz demo
  herz demo --once -o json
  herz demo --fault freeze --fault lost-answers --duration 1m
  herz demo --addr 127.0.0.1:7380 --mysql 'root:secret@tcp(127.0.0.1:3306)/test'
`

// names is a flag that may be given several times.
type names []string

func (n *names) String() string     { return strings.Join(*n, ",") }
func (n *names) Set(s string) error { *n = append(*n, s); return nil }

func runDemo(ctx context.Context, s System, args []string) (int, error) {
	c, format, err := demoFlags(s, args)
	if err != nil {
		return Usage, err
	}
	told := s.Out
	if format == "json" {
		told = s.Err
	}
	c.Started = func(url string) { _, _ = fmt.Fprintf(told, "the demo is live at %s\n", url) }
	if terminal(s.Err) {
		c.Fault = func(at time.Duration, e script.Event) { progress(s.Err, at, e) }
	}
	report, err := demo.Run(ctx, c)
	if err != nil {
		var input *demo.InputError
		if errors.As(err, &input) {
			return Usage, input
		}
		return Failed, err
	}
	if format == "json" {
		err = report.WriteJSON(s.Out)
	} else {
		err = report.WriteText(s.Out, terminal(s.Out) && s.Env("NO_COLOR") == "")
	}
	if err != nil {
		return Failed, fmt.Errorf("write the report: %w", err)
	}
	if !report.Verdict.Good {
		return Failed, nil
	}
	return Good, nil
}

func demoFlags(s System, args []string) (demo.Config, string, error) {
	var c demo.Config
	var format string
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.BoolVar(&c.Once, "once", false, "")
	f.DurationVar(&c.Duration, "duration", 0, "")
	f.Var((*names)(&c.Faults), "fault", "")
	f.StringVar(&c.Addr, "addr", "", "")
	f.StringVar(&c.MySQL, "mysql", "", "")
	f.StringVar(&c.Redis, "redis", "", "")
	f.Uint64Var(&c.Seed, "seed", 1, "")
	f.StringVar(&format, "o", "text", "")
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err = fmt.Fprintf(s.Out, demoHelp, faultList())
		return c, "", errors.Join(errHelp, err)
	case err != nil:
		return c, "", fmt.Errorf("%w; see herz demo --help", err)
	case f.NArg() > 0:
		return c, "", fmt.Errorf("demo takes flags only, not %q; see herz demo --help", f.Arg(0))
	case format != "text" && format != "json":
		return c, "", fmt.Errorf("-o is %q; use text or json", format)
	case c.Once && c.Duration > 0:
		return c, "", errors.New("--once and --duration exclude each other; give one of them")
	}
	set := map[string]bool{}
	f.Visit(func(f *flag.Flag) { set[f.Name] = true })
	for name, value := range map[string]string{"addr": c.Addr, "mysql": c.MySQL, "redis": c.Redis} {
		if set[name] && value == "" {
			return c, "", fmt.Errorf("--%s is empty; give a value, or leave the flag out", name)
		}
	}
	if set["duration"] && c.Duration == 0 {
		return c, "", errors.New("--duration is 0; give a positive time, such as 30s")
	}
	return c, format, c.Check()
}

func faultList() string {
	var b strings.Builder
	for _, f := range script.All() {
		fmt.Fprintf(&b, "                      %-13s %s\n", f.Name, f.Title)
	}
	return b.String()
}

// progress tells a person at a terminal how far the script has come.
func progress(w io.Writer, at time.Duration, e script.Event) {
	var line string
	switch e.State {
	case script.Active:
		line = e.Title + ": " + e.Words
	case script.Over:
		line = e.Title + ": over"
	case script.LeftOut:
		line = e.Title + " is left out: " + e.Why
	default:
		return
	}
	_, _ = fmt.Fprintf(w, "%6s s  %s\n", strconv.FormatFloat(at.Seconds(), 'f', 1, 64), line)
}

// terminal tells whether a person reads w.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
