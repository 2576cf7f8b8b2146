package herzconfig

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated files")

// TestGeneratedSchema compares schema.json with the types that the parser reads.
func TestGeneratedSchema(t *testing.T) {
	raw, err := json.Marshal(fileSchema(commentsOf(t, "keys.go")))
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	if err := json.Indent(&want, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	want.WriteByte('\n')
	if *update {
		if err := os.WriteFile("schema.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(schema, want.Bytes()) {
		t.Error("schema.json is not what the types make; run make generate and look at the difference")
	}
}

// commentsOf reads the comments of the fields of a file's structs: Type.Field.
func commentsOf(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		s, ok := spec.Type.(*ast.StructType)
		if !ok {
			return false
		}
		for _, field := range s.Fields.List {
			words := strings.Join(strings.Fields(field.Doc.Text()), " ")
			if words == "" {
				t.Errorf("%s.%s has no comment", spec.Name.Name, field.Names[0].Name)
			}
			all[spec.Name.Name+"."+field.Names[0].Name] = words
		}
		return false
	})
	return all
}

// object is a JSON object with its members in order.
type object []member

type member struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		var value bytes.Buffer
		e := json.NewEncoder(&value)
		e.SetEscapeHTML(false)
		if err = e.Encode(m.value); err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(bytes.TrimSpace(value.Bytes()))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func fileSchema(comments map[string]string) object {
	ref := func(name string) object { return object{{"$ref", "#/$defs/" + name}} }
	unnamed := object{{"allOf", []any{ref("pool"), object{{"properties", object{{"name", false}}}}}}}
	return object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", "herz-config.yaml"},
		{"type", "object"},
		{"anyOf", []any{object{{"required", []string{"pool"}}}, object{{"required", []string{"pools"}}}, object{{"required", []string{"websocket"}}}}},
		{"properties", object{
			{"pool", object{{"description", strings.Replace(comments["fileKeys.Pool"], "Pool", "pool", 1)}, {"$ref", "#/$defs/pool"}}},
			{"pools", object{
				{"description", strings.Replace(comments["fileKeys.Pools"], "Pools", "pools", 1)},
				{"type", "object"},
				{"minProperties", 1},
				{"additionalProperties", unnamed},
			}},
			{"websocket", object{{"description", strings.Replace(comments["fileKeys.WebSocket"], "WebSocket", "websocket", 1)}, {"$ref", "#/$defs/websocket"}}},
		}},
		{"patternProperties", object{{"^x-", true}}},
		{"additionalProperties", false},
		{"$defs", object{
			{"variable", object{
				{"description", "a value with a variable in it: ${NAME} or ${NAME:-default}"},
				{"type", "string"},
				{"pattern", `\$\{`},
			}},
			{"pool", structSchema(reflect.TypeFor[poolKeys](), poolFields, comments, modes())},
			{"guard", structSchema(reflect.TypeFor[guardKeys](), guardFields, comments, nil)},
			{"websocket", structSchema(reflect.TypeFor[webSocketKeys](), webFields, comments, nil)},
		}},
	}
}

// modes refuses in each mode the keys of the other.
func modes() []member {
	not := map[string]object{}
	for _, f := range poolFields {
		if f.only != "" {
			not[f.only] = append(not[f.only], member{f.key, false})
		}
	}
	guarded := object{{"properties", object{{"mode", object{{"const", string(Guarded)}}}}}, {"required", []string{"mode"}}}
	return []member{
		{"if", guarded},
		{"then", object{{"properties", not[string(Pooled)]}}},
		{"else", object{{"properties", not[string(Guarded)]}}},
		{"dependentRequired", object{{"driver", []string{"dsn"}}, {"dsn", []string{"driver"}}, {"keepWarmElastic", []string{"keepWarm"}}}},
	}
}

func structSchema(t reflect.Type, fields []field, comments map[string]string, more []member) object {
	var all object
	for _, f := range fields {
		words, ok := strings.CutPrefix(comments[t.Name()+"."+f.goName], f.goName+" ")
		if !ok {
			words = "This comment does not begin with the name of its field. " + words
		}
		all = append(all, member{f.key, fieldSchema(f, f.key+" "+words)})
	}
	return append(object{{"type", "object"}, {"properties", all}, {"additionalProperties", false}}, more...)
}

func fieldSchema(f field, words string) object {
	o := object{{"description", words}}
	if f.sort() == nested {
		return append(o, member{"$ref", "#/$defs/" + f.key})
	}
	var ways []any
	variable := object{{"$ref", "#/$defs/variable"}}
	switch f.sort() {
	case text:
		o = append(o, member{"type", "string"}, member{"minLength", 1})
	case oneOf:
		ways = []any{object{{"enum", f.words}}, variable}
	case yesNo:
		ways = []any{object{{"type", "boolean"}}, object{{"enum", []string{"on", "off"}}}, variable}
	case whole:
		least, most := f.bounds()
		ways = []any{object{{"type", "integer"}, {"minimum", least}, {"maximum", most}}}
		if f.off != "" {
			ways = append(ways, object{{"type", "integer"}, {"maximum", -1}}, object{{"const", "off"}})
		}
		ways = append(ways, variable)
	case share:
		ways = []any{object{{"type", "number"}, {"exclusiveMinimum", 0}, {"maximum", json.Number(f.most)}}, variable}
	case span:
		const positive = `^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+$`
		pattern := positive
		if f.off != "" {
			pattern = strings.Replace(positive, "^(", "^-?(", 1)
			ways = append(ways, object{{"const", "off"}})
		}
		if f.zero != "" {
			ways = append(ways, object{{"const", 0}})
		}
		ways = append(ways, object{{"type", "string"}, {"pattern", pattern}}, variable)
	case nested:
	}
	if ways != nil {
		o = append(o, member{"anyOf", ways})
	}
	if d := presetOf(f); d != nil {
		o = append(o, member{"default", d})
	}
	return append(o, member{"x-herz", notes(f)})
}

// presetOf is the default as a value, where it is one.
func presetOf(f field) any {
	v := reflect.New(f.typ).Elem()
	if f.preset == "" || f.sort() == text {
		return nil
	}
	if why, _ := f.set(v, f.preset, false); why != "" {
		return nil
	}
	switch f.sort() {
	case whole, share:
		return json.Number(f.preset)
	case yesNo:
		return v.Bool()
	default:
		return f.preset
	}
}

// notes are what docs/config.md shows beside the sentence.
func notes(f field) object {
	o := object{{"live", !f.restart}}
	for _, n := range []member{{"mode", f.only}, {"unit", f.unit}, {"default", f.preset}, {"zero", f.zero}, {"off", f.off}} {
		if n.value != "" {
			o = append(o, n)
		}
	}
	return o
}

func TestEveryDefaultThatIsAValueIsOneThatTheKeyTakes(t *testing.T) {
	prose := map[string]bool{
		"validationQuery": true, "name": true, "maxIdle": true, "maxUses": true, "maxLifetimeJitter": true, "leakAfter": true, "driver": true, "dsn": true,
		"minIdle": false, "keepWarm": false,
	}
	for _, f := range append(append(append([]field(nil), poolFields...), guardFields...), webFields...) {
		if f.sort() == nested || prose[f.key] {
			continue
		}
		if presetOf(f) == nil {
			t.Errorf("%s does not take its own default %q", f.key, f.preset)
		}
		if f.only != "" && instead[f.key] == "" {
			t.Errorf("%s has an effect in one mode only, and nothing says what happens in the other", f.key)
		}
		if other := twins[f.key]; other != "" && twins[other] != f.key {
			t.Errorf("%s is the twin of %s, and not the other way round", other, f.key)
		}
	}
}
