package herzconfig_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"herz.example/herz/herzconfig"
)

// blind are the broken files of which the schema sees nothing: YAML that cannot be read, keys that stand twice, values of the environment,
// and rules between the values of two keys.
var blind = []string{
	"same-name-twice", "unset-variable", "open-variable", "secret-in-a-number", "min-above-max", "without-effect", "both-units", "both-roles", "driver-misspelt", "zero",
}

func TestSchemaAndParserAgree(t *testing.T) {
	valid := []string{everyLimit, "pool: {}", "pools: {a: {}}", "x-y: 1\npool: {maxLifetime: off, identity: off, maxUses: 0, reconnectPerSecond: off}", "pool: {mode: guarded, maxIdle: 0}"}
	example, err := os.ReadFile("herz-config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(valid, string(example)) {
		parse(t, text)
		if why := conforms(t, text); why != "" {
			t.Errorf("the schema does not take what the parser takes: %s in %s", why, text)
		}
	}
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		var document any
		if yaml.Load(text, &document) != nil || slices.Contains(blind, name) {
			continue
		}
		if conforms(t, string(text)) == "" {
			t.Errorf("the schema takes %s", name)
		}
		seen++
	}
	if seen < 20 {
		t.Errorf("the schema was tried with %d broken files only", seen)
	}
}

// conforms gives the reason why a text is not what the schema describes.
func conforms(t *testing.T, text string) string {
	t.Helper()
	var document any
	if err := yaml.Load([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	plain, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	var s schema
	if err := json.Unmarshal(plain, &value); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(herzconfig.Schema(), &s); err != nil {
		t.Fatal(err)
	}
	return check{t, s}.value(s, value, "file")
}

type schema = map[string]any

// check knows as much of JSON Schema as our schema uses, and fails the test for words that it does not know.
type check struct {
	t    *testing.T
	root schema
}

var prose = []string{"$schema", "$defs", "title", "description", "default", "x-herz", "then", "else", "patternProperties"}

func (c check) value(s any, v any, at string) string {
	if yes, ok := s.(bool); ok {
		if !yes {
			return at + " must not be there"
		}
		return ""
	}
	for word, arg := range s.(schema) {
		if slices.Contains(prose, word) {
			continue
		}
		if why := c.word(s.(schema), word, arg, v, at); why != "" {
			return why
		}
	}
	return ""
}

func (c check) word(s schema, word string, arg, v any, at string) string {
	members, isObject := v.(schema)
	text, isText := v.(string)
	number, isNumber := v.(float64)
	no := func(bad bool) string {
		if bad {
			return fmt.Sprintf("%s is %v: %s %v", at, v, word, arg)
		}
		return ""
	}
	switch word {
	case "$ref":
		return c.value(c.root["$defs"].(schema)[strings.TrimPrefix(arg.(string), "#/$defs/")], v, at)
	case "type":
		is := map[string]bool{"object": isObject, "string": isText, "number": isNumber, "integer": isNumber && number == math.Trunc(number)}
		if _, isBool := v.(bool); arg == "boolean" {
			return no(!isBool)
		}
		return no(!is[arg.(string)])
	case "enum":
		return no(!slices.Contains(arg.([]any), v))
	case "const":
		return no(arg != v)
	case "pattern":
		return no(isText && !regexp.MustCompile(arg.(string)).MatchString(text))
	case "minLength":
		return no(isText && float64(utf8.RuneCountInString(text)) < arg.(float64))
	case "minimum":
		return no(isNumber && number < arg.(float64))
	case "maximum":
		return no(isNumber && number > arg.(float64))
	case "exclusiveMinimum":
		return no(isNumber && number <= arg.(float64))
	case "minProperties":
		return no(isObject && float64(len(members)) < arg.(float64))
	case "required":
		return no(isObject && slices.ContainsFunc(arg.([]any), func(k any) bool { return members[k.(string)] == nil }))
	case "dependentRequired":
		for k, others := range arg.(schema) {
			if members[k] != nil && slices.ContainsFunc(others.([]any), func(o any) bool { return members[o.(string)] == nil }) {
				return no(true)
			}
		}
		return ""
	case "properties":
		for k, one := range arg.(schema) {
			if m, ok := members[k]; ok {
				if why := c.value(one, m, at+"."+k); why != "" {
					return why
				}
			}
		}
		return ""
	case "additionalProperties":
		return c.others(s, arg, members, at)
	case "allOf", "anyOf":
		return c.several(word, arg.([]any), v, at)
	case "if":
		if c.value(arg, v, at) == "" {
			return c.value(s["then"], v, at)
		}
		return c.value(s["else"], v, at)
	default:
		c.t.Fatalf("this test does not know %q, which the schema uses", word)
		return ""
	}
}

func (c check) others(s schema, arg any, members schema, at string) string {
	for k, m := range members {
		known, _ := s["properties"].(schema)
		if _, ok := known[k]; ok {
			continue
		}
		matched := false
		patterns, _ := s["patternProperties"].(schema)
		for p := range patterns {
			matched = matched || regexp.MustCompile(p).MatchString(k)
		}
		if matched {
			continue
		}
		if why := c.value(arg, m, at+"."+k); why != "" {
			return why
		}
	}
	return ""
}

func (c check) several(word string, all []any, v any, at string) string {
	last := ""
	for _, one := range all {
		why := c.value(one, v, at)
		if why == "" && word == "anyOf" {
			return ""
		}
		if why != "" && word == "allOf" {
			return why
		}
		last = why
	}
	return last
}
