package herzconfig

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// expansion is a value after its variables have been put in.
type expansion struct {
	text  string
	used  []string // the values that were taken from the environment
	from  bool     // something was put in, default or not
	whole bool     // nothing is missing
}

// expand puts the values of variables in the place of ${NAME} and ${NAME:-default}. $${ stands for ${. It works on values that YAML has
// read already, so that no value can change the shape of the file.
func (r *reader) expand(key string, n *yaml.Node) expansion {
	e := expansion{whole: true}
	var out strings.Builder
	rest := n.Value
	for {
		at := strings.Index(rest, "${")
		if at < 0 {
			break
		}
		if at > 0 && rest[at-1] == '$' {
			out.WriteString(rest[:at-1] + "${")
			rest = rest[at+2:]
			continue
		}
		out.WriteString(rest[:at])
		inside, after, closed := strings.Cut(rest[at+2:], "}")
		if !closed {
			r.fail(r.find(n, rest[at:]), key, "${ is never closed; write ${NAME} or ${NAME:-default}, or $${ for the characters themselves")
			e.whole = false
			break
		}
		e.from = true
		value, ok := r.variable(key, n, inside, &e)
		e.whole = e.whole && ok
		out.WriteString(value)
		rest = after
	}
	out.WriteString(rest)
	e.text = out.String()
	return e
}

// variable gives the value of what stands between the braces.
func (r *reader) variable(key string, n *yaml.Node, inside string, e *expansion) (string, bool) {
	name, fallback, has := strings.Cut(inside, ":-")
	if !isName(name) {
		r.fail(r.find(n, "${"+inside), key, "what stands in ${} is no name of a variable; write ${NAME} or ${NAME:-default}, or $${ for the characters themselves")
		return "", false
	}
	value, set := r.lookup(name)
	switch {
	case set && (value != "" || !has):
		e.used = append(e.used, value)
		return value, true
	case has:
		return fallback, true
	case r.allowUnset:
		return "", false
	default:
		r.fail(r.find(n, "${"+inside), key, "the variable %s is not set; set it, or give a default: ${%s:-…}", name, name)
		return "", false
	}
}

func isName(s string) bool {
	for i, c := range s {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// find gives the place of a part of a value in the file: where it stands in the lines of the value, else the value's own.
func (r *reader) find(n *yaml.Node, part string) Position {
	const most = 100 // lines of one value in which it is looked for
	part, _, _ = strings.Cut(part, "\n")
	skip := n.Column - 1
	for i := n.Line; i < n.Line+most && i <= len(r.lines); i++ {
		line := []rune(r.line(i))
		before := min(max(skip, 0), len(line))
		skip = 0
		tail := string(line[before:])
		if at := strings.Index(tail, part); at >= 0 {
			return Position{i, before + utf8.RuneCountInString(tail[:at]) + 1}
		}
	}
	return place(n)
}
