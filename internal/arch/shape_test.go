package arch_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const prefix = "herz.example/herz"

// arrows are the imports that each room of the root module may have among its neighbours. They point one way: conn ← guard ← pool ← adapters.
var arrows = map[string][]string{
	"conn":            {},
	"internal/sys":    {},
	"internal/arch":   {},
	"internal/mutate": {},
	"registry":        {},
	"guard":           {"conn", "registry", "internal/sys"},
	"pool":            {"conn", "guard"},
	"herzhttp":        {"conn", "guard", "pool"},
	"herzsql":         {"conn", "guard", "pool"},
	"board":           {"ceiling", "conn", "guard", "pool"},
	"herztest":        {"conn", "guard", "pool"},
	"signal":          {"ceiling", "conn", "guard", "herzhttp", "pool"},
	"ceiling":         {"conn", "pool"},
}

// modules are the nested modules, which never see the root's internal packages.
var modules = []string{
	"bench", "herzconfig", "herzgrpc", "herzmysql", "herzotel", "herzpgx", "herzpq", "herzprom", "herzredis", "herzws", "cmd/herz", "conformance", "e2e", "examples", "faultlab",
}

func TestImportsPointOneWay(t *testing.T) {
	for _, line := range list(t, ".", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...") {
		words := strings.Fields(line)
		room := strings.TrimPrefix(words[0], prefix+"/")
		allowed, known := arrows[room]
		if !known {
			t.Errorf("room %s is new: say in internal/arch what it may import, and in docs/ARCHITECTURE.md what it is for", room)
			continue
		}
		for _, imp := range words[1:] {
			if other, ours := strings.CutPrefix(imp, prefix+"/"); ours && !slices.Contains(allowed, other) {
				t.Errorf("%s imports %s: the arrows point conn ← guard ← pool ← adapters ← commands, and only there", room, other)
			}
			if strings.HasPrefix(imp, "golang.org/x/sys") && room != "internal/sys" {
				t.Errorf("%s imports %s: system calls are made in internal/sys only, so that other systems have one place to differ", room, imp)
			}
		}
	}
}

func TestNestedModulesDoNotReachIntoTheRoot(t *testing.T) {
	for _, m := range modules {
		for _, line := range list(t, m, "-f", "{{.ImportPath}} {{join .Imports \" \"}} {{join .TestImports \" \"}} {{join .XTestImports \" \"}}", "./...") {
			words := strings.Fields(line)
			for _, imp := range words[1:] {
				if strings.HasPrefix(imp, prefix+"/internal/") {
					t.Errorf("%s imports %s: a module of its own uses what every user can use", words[0], imp)
				}
			}
		}
	}
}

// badNames are names that say nothing of what a package is for.
var badNames = []string{"util", "utils", "common", "helper", "helpers", "types", "models", "misc", "base"}

func TestEveryPackageIsANounWithAContract(t *testing.T) {
	for _, m := range append([]string{"."}, modules...) {
		for _, line := range list(t, m, "-f", "{{.Dir}}|{{.Name}}|{{join .GoFiles \" \"}}", "./...") {
			part := strings.Split(line, "|")
			if slices.Contains(badNames, part[1]) {
				t.Errorf("%s: the name %s does not say what the package is for", part[0], part[1])
			}
			if part[2] != "" && part[1] != "main" && !slices.Contains(strings.Fields(part[2]), "doc.go") {
				t.Errorf("%s has no doc.go: contract, not a goal, concurrency", part[0])
			}
		}
	}
}

func TestRootModuleDependsOnTheStandardLibraryAndSysOnly(t *testing.T) {
	deps := list(t, ".", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./...")
	slices.Sort(deps)
	for _, d := range deps {
		if !strings.HasPrefix(d, prefix) && !strings.HasPrefix(d, "golang.org/x/sys/") {
			t.Errorf("library code depends on %s: a user of the pool would get that version forced on them; make it a module of its own", d)
		}
	}
}

// bans are texts that no file of ours may have, with the reason. A file that has the text unless may.
var bans = []struct {
	files, text, unless *regexp.Regexp
	reason              string
}{
	{files: regexp.MustCompile(`\.go$`), text: regexp.MustCompile(`\btime\.After\(`), reason: "the timer cannot be stopped; use time.NewTimer"},
	{
		files:  regexp.MustCompile(`\.go$`),
		text:   regexp.MustCompile(`\b(t|b|f|tb)\.Skip(f|Now)?\(`),
		unless: regexp.MustCompile(`os\.Getenv\("CI"\) == ""`),
		reason: "a test that cannot run here says what it needs and fails; what the kernel refuses to ordinary users may be left out, but never with CI=true",
	},
	{
		files:  regexp.MustCompile(`\.(go|sh|ts|tsx|css)$|Makefile`),
		text:   regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`),
		reason: "open work is an issue, not a comment",
	},
	{files: regexp.MustCompile(`.`), text: regexp.MustCompile(`/(ho` + `me|wo` + `rk|ro` + `ot)/[a-z]+/`), reason: "a path of somebody's machine"},
}

func TestNoFileHasWhatTheHouseForbids(t *testing.T) {
	for _, name := range tracked(t) {
		text := read(t, name)
		if strings.Contains(name, "/package-lock.json") || strings.HasSuffix(name, ".sum") || strings.HasSuffix(name, ".png") {
			continue
		}
		for _, b := range bans {
			if b.unless != nil && b.unless.MatchString(text) {
				continue
			}
			if at := b.text.FindStringIndex(text); b.files.MatchString(name) && at != nil {
				t.Errorf("%s:%d: %q: %s", name, 1+strings.Count(text[:at[0]], "\n"), text[at[0]:at[1]], b.reason)
			}
		}
		if n := strings.Count(text, "\n"); path.Ext(name) == ".go" && n > 700 {
			t.Errorf("%s has %d lines; split it", name, n)
		}
	}
}
