package arch_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestGeneratedConfigKeys publishes the schema of herz-config.yaml, and makes the tables of docs/config.md from it.
func TestGeneratedConfigKeys(t *testing.T) {
	schema := []byte(read(t, "herzconfig/schema.json"))
	same(t, "docs/herz-config.schema.json", schema)
	page := read(t, "docs/config.md")
	for _, def := range []string{"pool", "guard", "websocket"} {
		before, rest, begins := strings.Cut(page, "<!-- keys of "+def+": made by make generate -->\n")
		_, after, ends := strings.Cut(rest, "<!-- end -->\n")
		if !begins || !ends {
			t.Fatalf("docs/config.md has no place for the keys of %s", def)
		}
		page = before + "<!-- keys of " + def + ": made by make generate -->\n" + keyTable(t, schema, def) + "<!-- end -->\n" + after
	}
	same(t, "docs/config.md", []byte(page))
}

// keyTable has a row for each key.
func keyTable(t *testing.T, schema []byte, def string) string {
	t.Helper()
	var s struct {
		Defs map[string]struct {
			Properties json.RawMessage `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(schema, &s); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| key | meaning | unit | without it | 0 | off, negative | changes while running | mode |\n|---|---|---|---|---|---|---|---|\n")
	d := json.NewDecoder(bytes.NewReader(s.Defs[def].Properties))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	rows := 0
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var p struct {
			Description string `json:"description"`
			Ref         string `json:"$ref"`
			Herz        struct {
				Live                           bool
				Mode, Unit, Default, Zero, Off string
			} `json:"x-herz"`
		}
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.Ref != "" {
			continue
		}
		h := p.Herz
		live, mode, zero := "restart", h.Mode, h.Zero
		if h.Live {
			live = "yes"
		}
		if mode == "" {
			mode = "both"
		}
		if zero == "" && h.Unit != "" {
			zero = "refused"
		}
		fmt.Fprintf(&b, "| `%v` | %s | %s | %s | %s | %s | %s | %s |\n", name, p.Description, h.Unit, h.Default, zero, refusedUnless(h.Off, h.Unit), live, mode)
		rows++
	}
	if rows == 0 {
		t.Fatalf("the schema has no keys of %s", def)
	}
	return b.String()
}

func refusedUnless(off, unit string) string {
	if off == "" && unit != "" {
		return "refused"
	}
	return off
}
