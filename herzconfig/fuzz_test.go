package herzconfig_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"herz.example/herz/guard"
	"herz.example/herz/herzconfig"
)

// FuzzParse wants three things of every text: no panic, places that are in the file, and, for a text that is taken, limits that a pool takes.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/broken/*.yaml", "herz-config.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	for _, text := range []string{
		article, everyLimit, "", "\x00", "\ufeffpool: {}", "a: &a [*a]", "pool: &p\n  <<: *p", "x-a: &a {<<: *a}\npool: *a", "? {a: b}\n: c", "pool: {<<: [[[*a]]]}",
		"pool:\n  maxOpen: 1e9", "pool:\n  ? maxOpen\n  : 5", "pools: {? [a] : {}}", "%YAML 1.2\n---\npool: {}", "pool: |\n x", "pool:\r\n  maxOpen: 3\r\n",
		"pool: {dsn: \"${SECRET\"", "pool: {maxOpen: ${TEN}}", "pool: {maxOpen: !!int \"5\"}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, problems := herzconfig.Parser{Env: env(vars)}.Parse("f", text)
		lines := 1 + strings.Count(string(text), "\n")
		for _, p := range problems {
			if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Message == "" {
				t.Errorf("no such place in %d lines: %v", lines, p)
			}
			if strings.Contains(p.Message, secret) && !strings.Contains(string(text), secret) {
				t.Errorf("a secret of the environment: %v", p)
			}
		}
		if (s == nil) != (len(problems.Errors()) > 0) {
			t.Fatalf("settings %v with the problems %v", s, problems)
		}
		if s == nil {
			return
		}
		for _, p := range s.Pools() {
			if err := p.Limits.Check(); err != nil {
				t.Errorf("taken, and no pool takes it: %v", err)
			}
			g := p.Guard
			g.HeartbeatTimeout = 0
			if p.Limits.HeartbeatTimeout > 0 {
				g.HeartbeatTimeout = max(p.Limits.HeartbeatTimeout, leastGuard)
			}
			if err := g.Check(); err != nil {
				t.Errorf("taken, and no guard takes it: %v", err)
			}
		}
		if again := herzconfig.Changes(s, s); len(again) != 0 {
			t.Errorf("differs from itself: %v", again)
		}
	})
}

const leastGuard = guard.MinHeartbeatTimeout
