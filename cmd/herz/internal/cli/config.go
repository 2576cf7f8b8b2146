package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"herz.example/herz/herzconfig"
)

const configHelp = `Usage: herz config validate [flags] FILE...
       herz config schema

validate reads each file as a program with herzconfig would, without opening anything, and says all that is wrong with it: file, line, column, what
to change. Keys without effect are errors. Variables such as ${DB_PASSWORD} are taken from the environment; no value of one is ever printed.

schema prints the JSON Schema of herz-config.yaml, for editors and other validators.

Flags of validate:
  --allow-unset    variables may be unset; values that need them are not checked
  --driver NAME    a driver beyond mysql, pgx and postgres that the program registers; may be given several times
  -o FORMAT        text or json (default text)

Exit code: 0 when every file can be used (there may be warnings), 2 when one cannot, or the flags cannot work, 1 when the output cannot be written.

Examples:
  herz config validate herz-config.yaml
  herz config validate --allow-unset deploy/*/herz-config.yaml
  herz config validate -o json herz-config.yaml | jq '.files[].problems[]'
  herz config schema > herz-config.schema.json
`

func runConfig(_ context.Context, s System, args []string) (int, error) {
	if len(args) == 0 {
		return Usage, errors.New("config wants a word after it: herz config validate FILE, or herz config schema")
	}
	switch name, rest := args[0], args[1:]; name {
	case "validate":
		return runValidate(s, rest)
	case "schema":
		if len(rest) > 0 && isHelp(rest[0]) {
			return help(s)
		}
		if len(rest) > 0 {
			return Usage, fmt.Errorf("config schema takes nothing after it, not %q; see herz config --help", rest[0])
		}
		return written(s.Out.Write(herzconfig.Schema()))
	default:
		if isHelp(name) {
			return help(s)
		}
		return Usage, fmt.Errorf("there is no \"herz config %s\"; there are herz config validate and herz config schema", name)
	}
}

func isHelp(word string) bool { return strings.TrimLeft(word, "-") == "help" || word == "-h" }

func help(s System) (int, error) { return written(io.WriteString(s.Out, configHelp)) }

func written(_ int, err error) (int, error) {
	if err != nil {
		return Failed, fmt.Errorf("write the output: %w", err)
	}
	return Good, nil
}

// verdict is what is said of one file, and the form of -o json.
type verdict struct {
	File     string              `json:"file"`
	Valid    bool                `json:"valid"`
	Pools    []string            `json:"pools"`
	Problems herzconfig.Problems `json:"problems"`
}

func runValidate(s System, args []string) (int, error) {
	var p herzconfig.Parser
	var format string
	f := flag.NewFlagSet("config validate", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.BoolVar(&p.AllowUnset, "allow-unset", false, "")
	f.Var((*names)(&p.Drivers), "driver", "")
	f.StringVar(&format, "o", "text", "")
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return help(s)
	case err != nil:
		return Usage, fmt.Errorf("%w; see herz config --help", err)
	case format != "text" && format != "json":
		return Usage, fmt.Errorf("-o is %q; use text or json", format)
	case f.NArg() == 0:
		return Usage, errors.New("config validate wants a file: herz config validate herz-config.yaml")
	}
	code := Good
	all := make([]verdict, 0, f.NArg())
	for _, file := range f.Args() {
		v := judge(p, file)
		if !v.Valid {
			code = Usage
		}
		all = append(all, v)
	}
	write := writeText
	if format == "json" {
		write = writeJSON
	}
	if err := write(s, all, code == Good); err != nil {
		return Failed, fmt.Errorf("write the output: %w", err)
	}
	return code, nil
}

func judge(p herzconfig.Parser, file string) verdict {
	settings, problems := p.Load(file)
	v := verdict{File: file, Valid: settings != nil, Pools: []string{}, Problems: append(herzconfig.Problems{}, problems...)}
	if settings != nil {
		for _, one := range settings.Pools() {
			v.Pools = append(v.Pools, one.Name)
		}
	}
	return v
}

func writeJSON(s System, all []verdict, valid bool) error {
	e := json.NewEncoder(s.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(struct {
		Valid bool      `json:"valid"`
		Files []verdict `json:"files"`
	}{valid, all})
}

func writeText(s System, all []verdict, _ bool) error {
	coloured := terminal(s.Out) && s.Env("NO_COLOR") == ""
	var b strings.Builder
	for _, v := range all {
		for _, p := range v.Problems {
			b.WriteString(painted(p, coloured) + "\n")
		}
		errs, warnings := len(v.Problems.Errors()), len(v.Problems.Warnings())
		if v.Valid {
			fmt.Fprintf(&b, "%s: valid, %s%s\n", v.File, count(len(v.Pools), "pool"), aside(warnings))
		} else {
			fmt.Fprintf(&b, "%s: not valid, %s%s\n", v.File, count(errs, "error"), aside(warnings))
		}
	}
	_, err := io.WriteString(s.Out, b.String())
	return err
}

func aside(warnings int) string {
	if warnings == 0 {
		return ""
	}
	return ", " + count(warnings, "warning")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// painted colours the word error or warning.
func painted(p herzconfig.Problem, coloured bool) string {
	line, word := p.String(), ": "+p.Severity.String()+": "
	if !coloured {
		return line
	}
	paint := "\x1b[31m"
	if p.Severity == herzconfig.Warning {
		paint = "\x1b[33m"
	}
	return strings.Replace(line, word, ": "+paint+p.Severity.String()+"\x1b[0m: ", 1)
}
