package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// outside is what no user's program runs.
var outside = regexp.MustCompile(`^(cmd|e2e|faultlab|bench|internal/mutate)/`)

// TestEveryLockSaysItsLaw wants two things of a mutex: a comment that says what it guards, and, where users run it, a line in
// docs/locks.md, because the order of locks cannot be seen from any one of them.
func TestEveryLockSaysItsLaw(t *testing.T) {
	register := read(t, "docs/locks.md")
	for _, name := range tracked(t) {
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, l := range locks(t, name) {
			if !strings.Contains(l.comment, "guards") && !strings.Contains(l.comment, "held by") {
				t.Errorf("%s: %s has no comment that says what it guards and what must not happen under it", name, l.name)
			}
			inLibrary := !outside.MatchString(name)
			if inLibrary && !strings.Contains(register, "`"+l.name+"`") {
				t.Errorf("%s: docs/locks.md has no line for %s", name, l.name)
			}
		}
	}
}

type lock struct{ name, comment string }

// locks finds the mutexes among the fields of the structs that a file declares as types or as variables.
func locks(t *testing.T, name string) []lock {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var found []lock
	inStruct := func(owner string, e ast.Expr) {
		if lit, ok := e.(*ast.CompositeLit); ok {
			e = lit.Type
		}
		s, ok := e.(*ast.StructType)
		if !ok {
			return
		}
		for _, field := range s.Fields.List {
			sel, ok := field.Type.(*ast.SelectorExpr)
			if !ok || (sel.Sel.Name != "Mutex" && sel.Sel.Name != "RWMutex") {
				continue
			}
			field := lock{f.Name.Name + "." + owner + "." + fieldName(field), field.Doc.Text()}
			found = append(found, field)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			inStruct(n.Name.Name, n.Type)
		case *ast.ValueSpec:
			inStruct(n.Names[0].Name, n.Type)
			for _, v := range n.Values {
				inStruct(n.Names[0].Name, v)
			}
		}
		return true
	})
	return found
}

func fieldName(f *ast.Field) string {
	if len(f.Names) == 0 {
		return "Mutex"
	}
	return f.Names[0].Name
}

// link is a link or picture of a Markdown text.
var link = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)

func TestEveryLinkInTheDocumentsLeadsToAFile(t *testing.T) {
	for _, name := range tracked(t) {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, path.Dir(name), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
	}
}

// kinds are what a line of the change log can be.
var kinds = []string{"added", "changed", "fixed", "removed"}

func TestEveryChangeIsToldInTheFormOfTheChangelog(t *testing.T) {
	for _, name := range tracked(t) {
		if !strings.HasPrefix(name, "changelog/unreleased/") {
			continue
		}
		head, text, ok := strings.Cut(read(t, name), "\n---\n")
		kind, named := strings.CutPrefix(head, "kind: ")
		if !ok || !named || !slices.Contains(kinds, kind) || strings.TrimSpace(text) == "" {
			t.Errorf("%s is not of the form that CONTRIBUTING.md shows", name)
		}
	}
}

// apart are the modules outside the workspace: one holds developers' tools, the other no Go at all.
var apart = []string{"tools", "web"}

func TestEveryModuleIsInTheWorkspaceOrSaysWhyNot(t *testing.T) {
	want := append([]string{"."}, modules...)
	var found []string
	for _, name := range tracked(t) {
		dir := path.Dir(name)
		if path.Base(name) != "go.mod" || slices.Contains(apart, dir) {
			continue
		}
		found = append(found, dir)
		if strings.Contains(read(t, name), "\nreplace ") {
			t.Errorf("%s has a replace line, with which `go install …@version` fails: it belongs into go.work", name)
		}
		if dir != "." && !strings.Contains(read(t, "go.work"), "\t./"+dir+"\n") {
			t.Errorf("module %s is not in go.work", dir)
		}
	}
	slices.Sort(want)
	slices.Sort(found)
	if !slices.Equal(want, found) {
		t.Errorf("internal/arch looks at the modules %v, but there are %v", want, found)
	}
}
