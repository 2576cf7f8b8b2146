package arch_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"herz.example/herz/conn"
)

// TestGeneratedStates compares docs/states.md with the table of legal moves.
func TestGeneratedStates(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# States of a connection\n\nGenerated from the table of legal moves in package `conn` by `make generate`. Edit the table, not this file.\n\n")
	b.WriteString("```mermaid\nstateDiagram-v2\n  [*] --> dialing\n")
	for _, from := range conn.States() {
		for _, to := range conn.States() {
			if from.Can(to) {
				fmt.Fprintf(&b, "  %v --> %v\n", from, to)
			}
		}
	}
	b.WriteString("  closed --> [*]\n```\n\n| from \\ to |")
	for _, s := range conn.States() {
		fmt.Fprintf(&b, " %v |", s)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(conn.States())) + "\n")
	for _, from := range conn.States() {
		fmt.Fprintf(&b, "| **%v** |", from)
		for _, to := range conn.States() {
			mark := " "
			if from.Can(to) {
				mark = "✓"
			}
			fmt.Fprintf(&b, " %s |", mark)
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n## Causes of death\n\n| name | in words | whose decision |\n|---|---|---|\n")
	for _, c := range conn.Causes() {
		if c == conn.None {
			continue
		}
		whose := "peer, path or user"
		if c.Ours() {
			whose = "ours"
		}
		fmt.Fprintf(&b, "| `%v` | %s | %s |\n", c, c.Sentence(), whose)
	}
	same(t, "docs/states.md", b.Bytes())
}

// TestGeneratedDependencies compares docs/deps.txt with what a user of the root module compiles, so that a new dependency is a
// changed line in review.
func TestGeneratedDependencies(t *testing.T) {
	deps := list(t, ".", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./...")
	slices.Sort(deps)
	same(t, "docs/deps.txt", []byte(strings.Join(deps, "\n")+"\n"))
}

// public are the packages whose exported API is listed in api/.
var public = []string{"conn", "registry", "guard", "pool", "herzsql", "board", "herztest", "herzconfig", "herzmysql", "herzpgx", "herzpq", "herzredis"}

// TestGeneratedAPI compares api/*.txt with the exported declarations, so that a changed API is a changed line in review.
func TestGeneratedAPI(t *testing.T) {
	for _, pkg := range public {
		same(t, "api/"+pkg+".txt", api(t, pkg))
	}
}

// api prints the exported declarations of a package, as they are on Linux, without bodies and comments.
func api(t *testing.T, pkg string) []byte {
	t.Helper()
	fset := token.NewFileSet()
	var decls []string
	for _, name := range list(t, pkg, "-f", "{{join .GoFiles \"\\n\"}}", ".") {
		f, err := parser.ParseFile(fset, filepath.Join(root, pkg, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.FileExports(f)
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				fn.Body = nil
			} else if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
				continue
			}
			var b bytes.Buffer
			if err := (&printer.Config{Mode: printer.UseSpaces, Tabwidth: 4}).Fprint(&b, fset, d); err != nil {
				t.Fatal(err)
			}
			if text := strings.TrimSpace(b.String()); !strings.HasSuffix(text, "()") || strings.HasPrefix(text, "func") {
				decls = append(decls, text)
			}
		}
	}
	slices.Sort(decls)
	return []byte("package " + pkg + "\n\n" + strings.Join(decls, "\n\n") + "\n")
}
