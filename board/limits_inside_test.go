package board

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"herz.example/herz/pool"
)

// TestEveryLimitCanBeChangedAndIsShown: a limit that is added to the pool must not be forgotten here.
func TestEveryLimitCanBeChangedAndIsShown(t *testing.T) {
	kind := reflect.TypeFor[pool.Limits]()
	if kind.NumField() != len(limitFields) {
		t.Errorf("pool.Limits has %d fields, the board changes %d", kind.NumField(), len(limitFields))
	}
	var shown map[string]any
	text, err := json.Marshal(fromLimits(pool.Limits{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &shown); err != nil {
		t.Fatal(err)
	}
	for _, f := range limitFields {
		if _, ok := shown[f.name]; !ok {
			t.Errorf("%s is not shown", f.name)
		}
		raw := json.RawMessage("1")
		if f.flag != nil {
			raw = json.RawMessage("true")
		}
		var l, again pool.Limits
		if err := f.set(&l, raw); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
		v := reflect.ValueOf(l)
		for i := range kind.NumField() {
			if set := !v.Field(i).IsZero(); set != (kind.Field(i).Name == f.field) {
				t.Errorf("%s changes %s", f.name, kind.Field(i).Name)
			}
		}
		// What is shown can be sent back.
		out, err := json.Marshal(f.value(&l))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.set(&again, out); err != nil || again != l {
			t.Errorf("%s is shown as %s, which is taken as %+v, %v", f.name, out, again, err)
		}
	}
}

// FuzzOrder: whatever the body, what is taken was said once, by a known name, and can be told apart from nothing.
func FuzzOrder(f *testing.F) {
	for _, s := range []string{
		"", "{}", `{"max_open":20}`, `{"max_open":null,"reason":"x"}`, `{"timeout_seconds":1e-3}`, `{"a":{"b":[1,2,{"c":null}]}}`, `{"max_open":1,"max_open":2}`,
		`{"max_idle_seconds":-1,"keep_warm_elastic":0.5,"test_on_borrow":true}`, `[1]`, `{"reason":"\u0000"}`, "{\"max_open\":1}\n{}", `{"max_uses":1e2}`,
	} {
		for i := range verbs {
			f.Add(byte(i), []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		v := verbs[int(which)%len(verbs)]
		o, err := parseOrder(v, body)
		if err != nil {
			if text := err.Error(); text == "" || len(text) > 4<<10 {
				t.Errorf("an error of %d bytes", len(text))
			}
			return
		}
		if o.timeout <= 0 || o.timeout > actTimeMax || len([]rune(o.reason)) > reasonMax || strings.ContainsAny(o.reason, "\n\x00\x1b") {
			t.Errorf("taken: %+v", o)
		}
		names := limitNames()
		for name := range o.limits {
			if v != ChangeLimits || !slices.Contains(names, name) {
				t.Errorf("%s took %q", v, name)
			}
		}
		start := pool.Limits{MaxOpen: 5, MaxLifetime: 100, MaxLifetimeJitter: 10}
		got, err := amend(start, o.limits)
		if err != nil {
			if got != start {
				t.Errorf("a refused change left %+v", got)
			}
			return
		}
		for _, f := range limitFields {
			if _, named := o.limits[f.name]; !named && f.field != "MaxLifetimeJitter" && f.value(&got) != f.value(&start) {
				t.Errorf("%s changed and was not named", f.name)
			}
		}
	})
}
