package cli

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

const poolHelp = `Usage: herz pool VERB [POOL] [flags]

Looks at the pools of a running program, and changes them, through its board (/debug/herz/).

Verbs:
  ls                         all pools of the program
  show POOL                  one pool: numbers, limits, connections, and why the newest ended
  evict POOL                 check what is idle now; close what is dead, too old or silent
  limits POOL [NAME=VALUE…]  show the limits, or change those that are named and no others
  invalidate POOL            lend none of the present connections again
  drain POOL                 lend nothing more, wait for the users, and close

Flags:
  --addr ADDR        the board: host:port, or its whole address (default 127.0.0.1:6060)
  --token-file FILE  the board's token; without the flag it is taken from HERZ_TOKEN
  --timeout TIME     of evict and drain (default 1m, at most 10m)
  --reason TEXT      why, for the record that the board keeps
  --yes              do not ask before invalidate and drain
  --plain-http       send the token without TLS to another machine
  -o FORMAT          text or json (default text; docs/control.md describes the JSON)

A pool is called by its name; where two have the same, by name#id, as ls shows it. Values of limits are numbers,
times such as 5m, true, false, or "default".

Exit code: 0 when it was done, 1 when the program cannot be reached or did not bring it to its end, 2 when the
command or the token cannot work.

Examples:
  herz pool ls --addr 127.0.0.1:6060
  HERZ_TOKEN=… herz pool evict DefaultPool
  herz pool limits orders max_open=20 max_idle=5m --token-file token --reason "sale"
  herz pool drain orders --timeout 2m --yes -o json --token-file token
`

const defaultBoard = "127.0.0.1:6060"

// poolOrder is what the command line asks for.
type poolOrder struct {
	verb    string
	pool    string
	changes []string // NAME=VALUE

	boardFlags

	reason, format string
	timeout        time.Duration
	yes            bool
}

var poolVerbs = []string{"ls", "show", "evict", "limits", "invalidate", "drain"}

func runPool(ctx context.Context, s System, args []string) (int, error) {
	o, err := poolFlags(s, args)
	if err != nil {
		return Usage, err
	}
	board, err := newBoardClient(&o.boardFlags, s.Env)
	if err != nil {
		return Usage, err
	}
	if (o.verb == "invalidate" || o.verb == "drain") && !o.yes {
		if err := confirm(ctx, s, o, board.host()); err != nil {
			return Usage, err
		}
	}
	if err := doPool(ctx, s, o, board); err != nil {
		var why *boardError
		if errors.As(err, &why) {
			return why.exit, err
		}
		return Failed, err
	}
	return Good, nil
}

func poolFlags(s System, args []string) (*poolOrder, error) {
	o := &poolOrder{}
	f := flag.NewFlagSet("pool", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	o.register(f)
	f.DurationVar(&o.timeout, "timeout", time.Minute, "")
	f.StringVar(&o.reason, "reason", "", "")
	f.BoolVar(&o.yes, "yes", false, "")
	f.StringVar(&o.format, "o", "text", "")
	words, err := interleaved(f, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err = io.WriteString(s.Out, poolHelp)
		return nil, errors.Join(errHelp, err)
	case err != nil:
		return nil, wrongFlag(err, "pool")
	case len(words) == 0:
		return nil, fmt.Errorf("say what to do: herz pool %s; see herz pool --help", strings.Join(poolVerbs, "|"))
	}
	o.verb = words[0]
	return o, o.check(words[1:])
}

// interleaved parses flags that stand anywhere among words, and gives the words. Nothing is a flag after "--".
func interleaved(f *flag.FlagSet, args []string) (words []string, err error) {
	for len(args) > 0 {
		if args[0] == "--" {
			return append(words, args[1:]...), nil
		}
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			return words, nil
		}
		if at := len(args) - f.NArg(); at > 0 && args[at-1] == "--" {
			return append(words, f.Args()...), nil
		}
		words, args = append(words, f.Arg(0)), f.Args()[1:]
	}
	return words, nil
}

func (o *poolOrder) check(words []string) error {
	switch {
	case !slices.Contains(poolVerbs, o.verb):
		return fmt.Errorf("herz pool has no verb %q; verbs are %s", o.verb, strings.Join(poolVerbs, ", "))
	case o.format != "text" && o.format != "json":
		return fmt.Errorf("-o is %q; use text or json", o.format)
	case o.timeout < time.Millisecond || o.timeout > 10*time.Minute:
		return fmt.Errorf("--timeout is %v; give a time from 1ms to 10m", o.timeout)
	case o.verb == "ls" && len(words) > 0:
		return fmt.Errorf("herz pool ls takes no pool, but %q was given; use herz pool show %s", words[0], words[0])
	case o.verb == "ls":
		return nil
	case len(words) == 0 || strings.TrimSpace(words[0]) == "":
		return fmt.Errorf("say which pool: herz pool %s POOL; herz pool ls lists them", o.verb)
	case o.verb != "limits" && len(words) > 1:
		return fmt.Errorf("herz pool %s takes one pool, but %q follows it", o.verb, words[1])
	}
	o.pool, o.changes = words[0], words[1:]
	if o.verb == "limits" && strings.Contains(o.pool, "=") && len(o.changes) == 0 {
		return fmt.Errorf("say which pool before %s: herz pool limits POOL %s", o.pool, o.pool)
	}
	for _, c := range o.changes {
		if name, value, ok := strings.Cut(c, "="); !ok || name == "" || value == "" {
			return fmt.Errorf("%q is no NAME=VALUE, such as max_open=20", c)
		}
	}
	return nil
}

// confirm asks a person. Who is none has to say --yes.
func confirm(ctx context.Context, s System, o *poolOrder, host string) error {
	file, ok := s.In.(*os.File)
	if !ok || !terminal(file) {
		return fmt.Errorf("herz pool %s asks before it acts, and standard input is no terminal; add --yes", o.verb)
	}
	return ask(ctx, s, o, host)
}

// ask puts the question and reads the answer.
func ask(ctx context.Context, s System, o *poolOrder, host string) error {
	what := "None of its present connections is lent again."
	if o.verb == "drain" {
		what = "It lends no more connections, and is closed for good once its users have returned them."
	}
	_, _ = fmt.Fprintf(s.Err, "%s the pool %q at %s?\n%s\nType yes to go on: ", strings.ToUpper(o.verb[:1])+o.verb[1:], o.pool, host, what)
	answer := make(chan string, 1)
	go func() { // a read of a terminal does not end with a context
		line, _ := bufio.NewReader(s.In).ReadString('\n') // what ends early is no yes
		answer <- line
	}()
	select {
	case line := <-answer:
		if strings.EqualFold(strings.TrimSpace(line), "yes") {
			return nil
		}
		return errors.New("nothing was done: the answer was not yes")
	case <-ctx.Done():
		return errors.New("nothing was done: interrupted")
	}
}
