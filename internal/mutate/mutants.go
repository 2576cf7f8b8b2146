package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Mutant is one change of one place.
type Mutant struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Function string `json:"function"`
	Operator string `json:"operator"`
	Before   string `json:"before"`
	After    string `json:"after"`

	edits []edit
}

// Key names a mutant without its line, so that a name outlives edits elsewhere in the file.
func (m Mutant) Key() string {
	return strings.Join([]string{filepath.ToSlash(m.File), m.Function, m.Operator, m.Before}, " | ")
}

// concurrent reports whether the mutant changes how goroutines meet, which is what the race detector sees.
func (m Mutant) concurrent() bool {
	return slices.Contains([]string{"no-lock", "cas-to-store", "cas-to-load", "swap-to-load"}, m.Operator)
}

// edit replaces the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// finder collects the mutants of one file.
type finder struct {
	set      *token.FileSet
	name     string
	source   []byte
	function string
	found    []Mutant
}

// find gives every mutant of a source file. Name is the file's path as it is reported.
func find(name string, source []byte) ([]Mutant, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	f := &finder{set: set, name: name, source: source}
	for _, d := range tree.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		f.function = fn.Name.Name
		f.locks(fn.Body)
		ast.Inspect(fn.Body, f.visit)
	}
	return f.found, nil
}

// findAll gives the mutants of a package's folder, tests excluded.
func findAll(root, folder string) ([]Mutant, error) {
	paths, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", folder, err)
	}
	var all []Mutant
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read a source file: %w", err)
		}
		found, err := find(filepath.Join(folder, filepath.Base(path)), source)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (f *finder) text(n ast.Node) string {
	return string(f.source[f.set.Position(n.Pos()).Offset:f.set.Position(n.End()).Offset])
}

func (f *finder) replace(n ast.Node, with string) edit {
	return edit{f.set.Position(n.Pos()).Offset, f.set.Position(n.End()).Offset, with}
}

func (f *finder) add(operator string, at ast.Node, with string) {
	f.addEdits(operator, at, f.text(at), with, f.replace(at, with))
}

func (f *finder) addEdits(operator string, at ast.Node, before, after string, edits ...edit) {
	f.found = append(f.found, Mutant{
		File: f.name, Line: f.set.Position(at.Pos()).Line, Function: f.function, Operator: operator,
		Before: oneLine(before), After: oneLine(after), edits: edits,
	})
}

func (f *finder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IfStmt:
		f.condition(n.Cond)
	case *ast.ForStmt:
		if n.Cond != nil {
			f.add("loop-never", n.Cond, "false && ("+f.text(n.Cond)+")")
		}
	case *ast.SwitchStmt:
		f.cases(n)
	case *ast.ReturnStmt:
		for _, result := range n.Results {
			if b, ok := result.(*ast.BinaryExpr); ok && (b.Op == token.LAND || b.Op == token.LOR || isComparison(b.Op)) {
				f.condition(result)
			}
		}
	case *ast.ExprStmt:
		f.statement(n)
	case *ast.CallExpr:
		f.atomic(n)
	}
	return true
}

func isComparison(op token.Token) bool {
	return slices.Contains([]token.Token{token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ}, op)
}

// looks finds what reads a state that another goroutine may change at any time.
var looks = regexp.MustCompile(`\.(Load|CompareAndSwap|Swap|Move|Claim|Withdraw|Offer|Offered|Dead|dead|Condemned|Alive|Err|State)\(`)

// condition negates each part of a condition. A part that looks at what other goroutines change is a re-check, and is left out in both
// ways too: made always true and always false. The part still appears, so that what it uses stays used.
func (f *finder) condition(c ast.Expr) {
	switch c := c.(type) {
	case *ast.ParenExpr:
		f.condition(c.X)
		return
	case *ast.BinaryExpr:
		if c.Op == token.LAND || c.Op == token.LOR {
			f.condition(c.X)
			f.condition(c.Y)
			return
		}
	}
	text := f.text(c)
	f.add("negate", c, "!("+text+")")
	if looks.MatchString(text) {
		f.add("always", c, "("+text+" || true)")
		f.add("never", c, "("+text+" && false)")
	}
}

// cases makes each case of a switch never taken.
func (f *finder) cases(s *ast.SwitchStmt) {
	for _, c := range s.Body.List {
		clause := c.(*ast.CaseClause)
		for _, e := range clause.List {
			if s.Tag == nil {
				f.condition(e)
			}
		}
		if s.Tag != nil && clause.List != nil && len(clause.Body) > 0 {
			first, last := clause.Body[0], clause.Body[len(clause.Body)-1]
			start, end := f.set.Position(first.Pos()).Offset, f.set.Position(last.End()).Offset
			f.addEdits("empty-case", clause, "case "+f.text(clause.List[0]), "nothing", edit{start, start, "if false {\n"}, edit{end, end, "\n}"})
		}
	}
}

// statement leaves out an atomic operation, or a move of a state, whose result nobody uses.
func (f *finder) statement(n *ast.ExprStmt) {
	call, ok := n.X.(*ast.CallExpr)
	if ok && slices.Contains([]string{"Store", "Add", "CompareAndSwap", "Swap", "Move"}, called(call)) {
		f.add("no-call", n, "if false { "+f.text(n)+" }")
	}
}

// atomic turns an atomic operation whose result is used into one that changes nothing, or does not look.
func (f *finder) atomic(call *ast.CallExpr) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	switch name := sel.Sel.Name; {
	case name == "Swap" && len(call.Args) == 1:
		f.add("swap-to-load", call, f.text(sel.X)+".Load()")
	case name == "Add" && len(call.Args) == 1:
		f.add("add-sign", call, f.text(sel.X)+".Add(-("+f.text(call.Args[0])+"))")
	case name == "CompareAndSwap" && len(call.Args) == 2:
		f.add("cas-to-store", call, "func() bool { "+f.text(sel.X)+".Store("+f.text(call.Args[1])+"); return true }()")
		f.add("cas-to-load", call, "("+f.text(sel.X)+".Load() == "+f.text(call.Args[0])+")")
	}
}

// locks leaves out all locking of one mutex in a function.
func (f *finder) locks(body *ast.BlockStmt) {
	edits := map[string][]edit{}
	first := map[string]ast.Node{}
	ast.Inspect(body, func(n ast.Node) bool {
		var call *ast.CallExpr
		switch n := n.(type) {
		case *ast.ExprStmt:
			call, _ = n.X.(*ast.CallExpr)
		case *ast.DeferStmt:
			call = n.Call
		}
		if call == nil || len(call.Args) > 0 || !slices.Contains([]string{"Lock", "Unlock"}, called(call)) {
			return true
		}
		of := f.text(call.Fun.(*ast.SelectorExpr).X)
		if first[of] == nil {
			first[of] = n
		}
		edits[of] = append(edits[of], f.replace(n, "_ = 0"))
		return true
	})
	for of, list := range edits {
		if len(list) > 1 {
			f.addEdits("no-lock", first[of], of+".Lock … Unlock", "nothing", list...)
		}
	}
}

func called(call *ast.CallExpr) string {
	switch fun := call.Fun.(type) {
	case *ast.SelectorExpr:
		return fun.Sel.Name
	case *ast.Ident:
		return fun.Name
	}
	return ""
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 120 {
		s = string(r[:120]) + "…"
	}
	return s
}

// apply gives the source with the mutant in it.
func (m Mutant) apply(source []byte) []byte {
	edits := slices.Clone(m.edits)
	slices.SortFunc(edits, func(a, b edit) int { return b.start - a.start })
	out := string(source)
	for _, e := range edits {
		out = out[:e.start] + e.text + out[e.end:]
	}
	return []byte(out)
}
