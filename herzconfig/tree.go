package herzconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxSize bounds a file. One with a hundred pools and every key has a tenth of it.
const maxSize = 1 << 20

// tree reads the text as one YAML document. Nil: a problem says why there is none.
func (r *reader) tree() *yaml.Node {
	if len(r.text) > maxSize {
		r.fail(Position{1, 1}, "", "the file has more than %d bytes; is it the right one?", maxSize)
		return nil
	}
	if at, bad := invalidUTF8(r.text); bad {
		r.fail(at, "", "the file is not UTF-8 from here on; save it as UTF-8")
		return nil
	}
	first, second, err := documents(r.text)
	switch {
	case err != nil:
		r.syntax(err)
	case first == nil || len(first.Content) == 0:
		r.fail(Position{1, 1}, "", "the file is empty; name a pool: %q", "pool:")
	case second != nil:
		r.fail(place(second), "", "a second document begins here; a file has one, so remove the line with ---")
	default:
		return first.Content[0]
	}
	return nil
}

// documents reads the first two documents of a text. The parser is code for hostile input, and so is what keeps its panics from
// becoming those of a program that only reads its configuration again.
func documents(text []byte) (first, second *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the YAML parser gave up: %v", p)
		}
	}()
	l, err := yaml.NewLoader(bytes.NewReader(text), yaml.WithUniqueKeys(false)) // duplicates are ours to tell, all of them
	if err != nil {
		return nil, nil, err
	}
	first = new(yaml.Node)
	if err = l.Load(first); errors.Is(err, io.EOF) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	second = new(yaml.Node)
	if err = l.Load(second); errors.Is(err, io.EOF) {
		return first, nil, nil
	}
	return first, second, err
}

func invalidUTF8(text []byte) (Position, bool) {
	if utf8.Valid(text) {
		return Position{}, false
	}
	at := Position{1, 1}
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		switch {
		case c == utf8.RuneError && n == 1:
			return at, true
		case c == '\n':
			at = Position{at.Line + 1, 1}
		default:
			at.Column++
		}
		text = text[n:]
	}
	return at, true
}

// cures are what to do about the errors of the YAML parser, by a part of its words. The words themselves are not shown, where we know
// them: they speak of tokens, and may repeat a value.
var cures = []struct {
	has, says string
	opening   bool // the place is where the thing begins that is not closed
}{
	{has: "cannot start any token", says: "a value cannot begin with this character; put the value in quotes"},
	{
		has:  "mapping values are not allowed",
		says: `a ":" stands where no key can be: indent the line like its neighbours, or put a value that has ": " in it in quotes`,
	},
	{has: "did not find expected key", says: "this line is not indented like the keys before it; indent it as they are"},
	{has: "could not find expected ':'", says: `this line has no ":"; write key: value`},
	{has: "unexpected end of stream", says: "the quote that opens here is never closed; close it", opening: true},
	{has: "unexpected document indicator", says: "the quote that opens here is never closed; close it", opening: true},
	{has: "did not find expected ',' or", says: "the bracket that opens here is never closed, or a comma is missing in it; add it", opening: true},
	{has: "did not find expected node content", says: "a value is missing here; add it"},
	{
		has:  "unknown anchor",
		says: "a value that begins with * is an alias, and nothing above it has that anchor; put the value in quotes if the * belongs to it",
	},
	{has: "alphabetic or numeric", says: "a value that begins with & or * is an anchor or alias, and this one has no name; put the value in quotes"},
	{has: "unknown escape", says: `in double quotes \ begins an escape, and there is none with this letter; use single quotes`},
	{has: "hexdecimal number", says: `in double quotes \x, \u and \U want hexadecimal digits; use single quotes`},
	{has: "undefined tag handle", says: "a value that begins with ! is a tag; put the value in quotes"},
	{has: "control characters are not allowed", says: "a control character stands here; remove it"},
	{has: "found invalid Unicode character", says: "a character stands here that YAML does not allow; remove it"},
	{has: "block sequence entries are not allowed", says: `a "-" begins a list, and no list can stand here; put the value in quotes if the - belongs to it`},
	{has: "while scanning a block scalar", says: "the block of text after | or > is not indented as it has to be; indent all its lines alike"},
}

// syntax reports an error of the YAML parser.
func (r *reader) syntax(err error) {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		r.fail(Position{1, 1}, "", "this is no YAML: %v", err)
		return
	}
	at, words := markOf(e.Mark), e.Message
	for _, c := range cures {
		if !strings.Contains(e.Message, c.has) && !strings.Contains(e.ContextMsg, c.has) {
			continue
		}
		words = c.says
		if c.opening && e.ContextMark.Line > 0 {
			at = markOf(e.ContextMark)
		}
		break
	}
	if above, ok := r.withoutColon(at.Line); ok && strings.Contains(e.Message, "mapping values are not allowed") {
		at, words = above, "this line has no \":\"; write key: value"
	}
	if strings.Contains(e.Message, "did not find expected ',' or") && strings.Contains(r.line(markOf(e.Mark).Line), "${") {
		words = "between brackets a value with ${NAME} has to be in quotes; put it in quotes"
	}
	if tab, ok := r.tabBefore(at); ok {
		at, words = tab, "a tab stands in the indentation; YAML wants spaces"
	}
	r.fail(at, "", "%s", words)
}

func markOf(m yaml.Mark) Position { return Position{max(m.Line, 1), max(m.Column, 1)} }

// tabBefore finds a tab in the indentation of the line of an error.
func (r *reader) tabBefore(at Position) (Position, bool) {
	line := r.line(at.Line)
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	tab := strings.IndexByte(indent, '\t')
	return Position{at.Line, tab + 1}, tab >= 0
}

// withoutColon finds the line before the line of an error, when it was to be a key and has no colon: the parser takes it and the next
// for one long key, and is surprised by what follows.
func (r *reader) withoutColon(n int) (Position, bool) {
	for n--; n > 0; n-- {
		line, _, _ := strings.Cut(r.line(n), " #")
		words := strings.TrimSpace(line)
		if words == "" || strings.HasPrefix(words, "#") {
			continue
		}
		plain := !strings.Contains(words+" ", ": ") && !strings.ContainsAny(words[:1], `-"'[{|>&*!`)
		return Position{n, 1 + len(line) - len(strings.TrimLeft(line, " "))}, plain
	}
	return Position{}, false
}

// inside moves a place behind the end of the file, where the parser sees what is missing, to the last line that has something.
func (r *reader) inside(at Position) Position {
	if at.Line <= len(r.lines) && (at.Line < len(r.lines) || strings.TrimSpace(r.line(at.Line)) != "") {
		return at
	}
	for n := len(r.lines); n > 0; n-- {
		if line := strings.TrimRight(r.line(n), " \t\r"); line != "" {
			return Position{n, utf8.RuneCountInString(line)}
		}
	}
	return Position{1, 1}
}

// line gives a line of the text, counted from 1; empty where there is none.
func (r *reader) line(n int) string {
	if n < 1 || n > len(r.lines) {
		return ""
	}
	return r.lines[n-1]
}

func place(n *yaml.Node) Position { return Position{max(n.Line, 1), max(n.Column, 1)} }

// behind gives the node that an alias stands for.
func behind(n *yaml.Node) *yaml.Node {
	for hops := 0; n.Kind == yaml.AliasNode && n.Alias != nil && hops < 8; hops++ {
		n = n.Alias
	}
	return n
}

// empty reports whether nothing stands there: no value, ~ or null.
func empty(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// pair is one key of a mapping.
type pair struct {
	key   string
	at    Position
	value *yaml.Node
}

// mostMerges bounds how many mappings << takes in, one by the other, and mostKeys how many keys of a file are looked at. With << a small file can
// have very many.
const mostMerges, mostKeys = 64, 20_000

// tired reports whether too many keys were looked at.
func (r *reader) tired(n *yaml.Node, path string) bool {
	before := r.keys
	if r.keys += len(n.Content) / 2; r.keys <= mostKeys {
		return false
	}
	if before <= mostKeys {
		r.fail(place(n), path, "the file has more than %d keys, those of << among them; write fewer", mostKeys)
	}
	return true
}

// pairs gives the keys of a mapping, those of << after its own. A key that stands twice is an error.
func (r *reader) pairs(path string, n *yaml.Node) []pair {
	var all []pair
	seen := map[string]Position{}
	var merged []*yaml.Node
	if r.tired(n, path) {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := behind(n.Content[i]), n.Content[i+1]
		at := place(n.Content[i])
		switch first, twice := seen[k.Value]; {
		case k.Kind != yaml.ScalarNode:
			r.fail(at, path, "a key has to be a word")
		case k.Value == "<<" && k.Style == 0:
			merged = append(merged, v)
		case twice:
			r.fail(at, join(path, k.Value), "%s stands twice, first in line %d; remove one of them", k.Value, first.Line)
		default:
			seen[k.Value] = at
			all = append(all, pair{k.Value, at, v})
		}
	}
	for taken := 0; len(merged) > 0; taken++ {
		from := behind(merged[0])
		merged = merged[1:]
		switch {
		case taken == mostMerges:
			r.fail(place(from), path, "<< takes in more than %d others; is one of them itself?", mostMerges)
			return all
		case from.Kind == yaml.SequenceNode:
			merged = append(merged, from.Content...)
			continue
		case from.Kind != yaml.MappingNode:
			r.fail(place(from), path, "<< wants the alias of keys, such as <<: *defaults")
			continue
		case r.tired(from, path):
			return all
		}
		for i := 0; i+1 < len(from.Content); i += 2 {
			k, v := behind(from.Content[i]), from.Content[i+1]
			if k.Value == "<<" && k.Style == 0 {
				merged = append(merged, v)
			} else if _, own := seen[k.Value]; !own && k.Kind == yaml.ScalarNode {
				seen[k.Value] = place(from.Content[i])
				all = append(all, pair{k.Value, place(from.Content[i]), v})
			}
		}
	}
	return all
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
