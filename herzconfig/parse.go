package herzconfig

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"

	"herz.example/herz/pool"
)

// Parser reads configurations. The zero value works.
type Parser struct {
	// Env looks up the variables of ${NAME}. Nil: os.LookupEnv.
	Env func(name string) (string, bool)
	// AllowUnset lets variables be unset. Values with such a variable are not checked, and are missing in the settings, which therefore are
	// good for a look only. False: an unset variable without a default is an error.
	AllowUnset bool
	// Drivers are names of drivers beyond those of Herz's adapters that the program has registered. Nil: none.
	Drivers []string
}

// Parse reads a configuration with the environment of the process; see [Parser.Parse].
func Parse(file string, text []byte) (*Settings, Problems) { return Parser{}.Parse(file, text) }

// Load reads the file; see [Parser.Load].
func Load(file string) (*Settings, Problems) { return Parser{}.Load(file) }

// Load reads the file and parses what is in it. That it cannot be read is an error among the problems.
func (c Parser) Load(file string) (*Settings, Problems) {
	text, problems := c.read(file, file)
	if problems != nil {
		return nil, problems
	}
	return c.Parse(file, text)
}

// read gives the text of the file at path, which is called file in problems. It is not nil unless there is a problem.
func (c Parser) read(path, file string) ([]byte, Problems) {
	text, err := os.ReadFile(path) //nolint:gosec // the file that the caller names
	if err != nil {
		r := c.reader(file, nil)
		r.fail(Position{1, 1}, "", "the file cannot be read: %v", bareError(err))
		return nil, r.problems
	}
	return append([]byte{}, text...), nil
}

// Parse reads the text of a file; the name is for the problems. It finds all that is wrong at once. When there is an error among the problems the
// settings are nil. Parse never panics.
func (c Parser) Parse(file string, text []byte) (*Settings, Problems) {
	r := c.reader(file, text)
	var pools []*poolFile
	web := new(webFile)
	if root := r.tree(); root != nil {
		pools = r.top(root, web)
	}
	for _, p := range pools {
		r.rules(p)
	}
	r.problems.sorted()
	if len(r.problems.Errors()) > 0 {
		return nil, r.problems
	}
	return settingsOf(file, pools, web), r.problems
}

func (c Parser) reader(file string, text []byte) *reader {
	r := &reader{file: file, text: text, lookup: c.Env, allowUnset: c.AllowUnset, drivers: c.Drivers}
	if r.lookup == nil {
		r.lookup = os.LookupEnv
	}
	r.lines = strings.Split(string(text), "\n")
	return r
}

// reader reads one file.
type reader struct {
	file       string
	text       []byte
	lines      []string
	lookup     func(string) (string, bool)
	allowUnset bool
	drivers    []string
	problems   Problems
	bad        bool // there is an error among them
	keys       int  // that were looked at
}

func (r *reader) fail(at Position, key, format string, args ...any) {
	r.tell(Error, at, key, format, args...)
}

func (r *reader) warn(at Position, key, format string, args ...any) {
	r.tell(Warning, at, key, format, args...)
}

// full reports whether nobody would read more.
func (r *reader) full() bool { return len(r.problems) >= mostProblems }

// mostProblems is how many problems of one file are told: nobody reads more.
const mostProblems = 1000

func (r *reader) tell(s Severity, at Position, key, format string, args ...any) {
	if r.full() && (s == Warning || r.bad) {
		return
	}
	r.bad = r.bad || s == Error
	r.problems = append(r.problems, Problem{File: r.file, Position: r.inside(at), Severity: s, Key: key, Message: fmt.Sprintf(format, args...)})
}

// poolFile is what the file says of one pool.
type poolFile struct {
	name string
	path string // of its keys in problems
	at   Position
	keys poolKeys
	has  map[string]entry // what stands in the file, by key; those of guard as guard.probeAfter
}

// top reads the top level.
func (r *reader) top(root *yaml.Node, web *webFile) []*poolFile {
	root = behind(root)
	if root.Kind != yaml.MappingNode {
		r.fail(place(root), "", "the file has to be keys, beginning with %q or %q", "pool:", "pools:")
		return nil
	}
	var one, many *pair
	var strays []pair
	for _, p := range r.pairs("", root) {
		switch {
		case p.key == "pool":
			one = &p
		case p.key == "pools":
			many = &p
		case p.key == "websocket":
			r.webSocket(p, web)
		case !strings.HasPrefix(p.key, "x-"):
			strays = append(strays, p)
		}
	}
	var all []*poolFile
	if one != nil {
		all = append(all, r.single(*one, &strays)...)
	}
	r.strays(one, strays)
	if many != nil {
		all = append(all, r.named(*many)...)
	}
	if one == nil && many == nil && !web.there && len(strays) == 0 {
		r.fail(place(root), "", "the file names no pool; begin with %q", "pool:")
	}
	r.names(all)
	return all
}

// single reads the pool without a name. Where it is empty and its keys stand beside it, as the article prints them, they are taken as meant.
func (r *reader) single(p pair, strays *[]pair) []*poolFile {
	n := behind(p.value)
	switch {
	case empty(n) && slices.ContainsFunc(*strays, isPoolKey):
		keys := *strays
		*strays = nil
		r.indentation(p, keys)
		return []*poolFile{r.pool(pool.DefaultPool, "pool", p.at, keys)}
	case empty(n):
		r.fail(p.at, "pool", "pool is empty; give it keys, indented under it, or write pool: {} for all defaults")
	case n.Kind != yaml.MappingNode:
		r.fail(place(p.value), "pool", "pool wants keys of its own, indented under it; for several pools write pools:")
	default:
		return []*poolFile{r.pool(pool.DefaultPool, "pool", p.at, r.pairs("pool", n))}
	}
	return nil
}

func isPoolKey(p pair) bool {
	_, ok := fieldNamed(poolFields, p.key)
	return ok
}

// indentation shows how keys that stand beside an empty pool: should be indented.
func (r *reader) indentation(p pair, keys []pair) {
	before := strings.Repeat(" ", max(p.at.Column-1, 0))
	lines := []string{before + "pool:"}
	for _, k := range keys {
		line := strings.TrimSpace(r.line(k.at.Line))
		if f, ok := fieldNamed(poolFields, k.key); !ok || f.secret || !strings.HasPrefix(line, k.key) {
			line = k.key + ": …" // a secret, or a line that has more than this key
		}
		lines = append(lines, before+"  "+line)
	}
	r.warn(p.at, "pool", "pool: is empty, and its keys stand beside it and not under it; they are taken as meant. Indent them:\n%s", strings.Join(lines, "\n"))
}

// strays are keys of the top level that do not belong there.
func (r *reader) strays(one *pair, strays []pair) {
	for _, p := range strays {
		switch {
		case isWebKey(p):
			r.fail(p.at, p.key, "%s is a key of websocket; indent it under a line with websocket:", p.key)
		case !isPoolKey(p):
			r.fail(p.at, p.key, "there is no key %s at the top of the file%s", p.key, meant(p.key, append(keysOf(fileFields), keysOf(poolFields)...)))
		case one == nil:
			r.fail(p.at, p.key, "%s belongs to a pool: write pool: in a line before it, and indent it by two spaces", p.key)
		default:
			r.fail(p.at, p.key, "%s stands beside pool: and not under it; indent it as far as the other keys of pool", p.key)
		}
	}
}

// named reads the pools that have names.
func (r *reader) named(p pair) []*poolFile {
	n := behind(p.value)
	if n.Kind != yaml.MappingNode {
		r.fail(p.at, "pools", "pools wants the names of pools, indented under it, each with its own keys")
		return nil
	}
	var all []*poolFile
	for _, one := range r.pairs("pools", n) {
		v, path := behind(one.value), join("pools", one.key)
		switch {
		case empty(v):
			r.fail(one.at, path, "pool %s is empty; give it keys, indented under it, or write {} for all defaults", one.key)
		case v.Kind != yaml.MappingNode && isPoolKey(one):
			r.fail(one.at, path, "%s stands where the name of a pool is expected; write the pool's name before it, or pool: in place of pools:", one.key)
		case v.Kind != yaml.MappingNode:
			r.fail(place(one.value), path, "pool %s wants keys of its own, indented under it", one.key)
		default:
			all = append(all, r.pool(one.key, path, one.at, r.pairs(path, v)))
		}
	}
	if len(n.Content) == 0 {
		r.fail(p.at, "pools", "pools is empty; name a pool under it")
	}
	return all
}

// names looks at what the pools are called.
func (r *reader) names(all []*poolFile) {
	first := map[string]Position{}
	for _, p := range all {
		key, at := p.path, p.at
		if e, ok := p.has["name"]; ok {
			if e.unknown {
				continue
			}
			key, at, p.name = p.path+".name", e.value, p.keys.Name
		}
		shown := "the name"
		if !p.has["name"].from {
			shown = fmt.Sprintf("the name %q", p.name)
		}
		earlier, twice := first[p.name]
		switch {
		case p.name == "" || strings.ContainsFunc(p.name, func(c rune) bool { return !unicode.IsPrint(c) }):
			r.fail(at, key, "%s of a pool has to have characters that can be seen", shown)
		case twice:
			r.fail(at, key, "%s is that of the pool in line %d already; give one of them another", shown, earlier.Line)
		default:
			first[p.name] = p.at
		}
	}
}

// pool reads the keys of one pool.
func (r *reader) pool(name, path string, at Position, pairs []pair) *poolFile {
	p := &poolFile{name: name, path: path, at: at, has: map[string]entry{}, keys: poolKeys{Mode: string(Pooled), Identity: true}}
	r.fields(p, path, "", poolFields, pairs, reflect.ValueOf(&p.keys).Elem())
	if e, ok := p.has["name"]; ok && path != "pool" {
		r.fail(e.at, path+".name", "name has no effect under pools: the pool is called %s; remove the line", name)
		delete(p.has, "name")
	}
	return p
}

// fields reads keys into the fields of a struct.
func (r *reader) fields(p *poolFile, path, group string, known []field, pairs []pair, into reflect.Value) {
	for _, one := range pairs {
		f, ok := fieldNamed(known, one.key)
		if !ok {
			r.unknown(path, group, one, known)
			continue
		}
		if f.sort() != nested {
			if e, good := r.value(path, f, one, into.Field(f.index)); good {
				p.has[group+f.key] = e
			}
			continue
		}
		v := behind(one.value)
		if v.Kind != yaml.MappingNode {
			r.fail(one.at, join(path, f.key), "%s wants %s", f.key, f.wants())
			continue
		}
		p.has[group+f.key] = entry{at: one.at, value: place(one.value)}
		inner := join(path, f.key)
		r.fields(p, inner, f.key+".", guardFields, r.pairs(inner, v), into.Field(f.index))
	}
}

// unknown tells a key that is not known, and where it belongs when it is known elsewhere.
func (r *reader) unknown(path, group string, p pair, known []field) {
	if r.full() && r.bad {
		return
	}
	key := join(path, p.key)
	_, ofPool := fieldNamed(poolFields, p.key)
	_, ofGuard := fieldNamed(guardFields, p.key)
	inWeb := path == "websocket"
	switch {
	case ofPool && inWeb:
		r.fail(p.at, key, "%s is a key of a pool, not of websocket; move it under pool:", p.key)
	case ofPool:
		r.fail(p.at, key, "%s is a key of the pool, not of guard; indent it as far as guard", p.key)
	case ofGuard && !inWeb:
		r.fail(p.at, key, "%s is a key of guard; indent it under a line with guard:", p.key)
	case inWeb:
		r.fail(p.at, key, "there is no key %s of websocket%s", p.key, meant(p.key, keysOf(known)))
	case isWebKey(p):
		r.fail(p.at, key, "%s is a key of websocket; write it under a line with websocket: at the top of the file", p.key)
	case p.key == "pool" || p.key == "pools" || p.key == "websocket":
		r.fail(p.at, key, "%s belongs at the top of the file, not under a pool; move it to the left", p.key)
	case group != "":
		r.fail(p.at, key, "there is no key %s of guard%s", p.key, meant(p.key, keysOf(known)))
	default:
		r.fail(p.at, key, "there is no key %s of a pool%s", p.key, meant(p.key, keysOf(known)))
	}
}
