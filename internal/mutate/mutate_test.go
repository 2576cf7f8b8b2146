package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const sample = `package sample

import "sync"
import "sync/atomic"

type box struct {
	mu sync.Mutex
	n  atomic.Int64
}

func (b *box) put(x int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x > 0 && b.n.Load() == 0 {
		b.n.Store(x)
	}
	for x > 9 {
		x--
	}
	switch x {
	case 1:
		b.n.Add(2)
	}
	switch {
	case x == 2:
		return b.n.CompareAndSwap(2, 3)
	}
	return b.n.Swap(x) != 0
}
`

func TestEveryBranchAtomicAndRecheckGetsAMutant(t *testing.T) {
	found, err := find("sample.go", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range found {
		got = append(got, m.Operator+": "+m.Before+" → "+m.After)
	}
	for _, want := range []string{
		"negate: x > 0 → !(x > 0)",
		"negate: b.n.Load() == 0 → !(b.n.Load() == 0)",
		"always: b.n.Load() == 0 → (b.n.Load() == 0 || true)",
		"never: b.n.Load() == 0 → (b.n.Load() == 0 && false)",
		"no-call: b.n.Store(x) → if false { b.n.Store(x) }",
		"loop-never: x > 9 → false && (x > 9)",
		"empty-case: case 1 → nothing",
		"no-call: b.n.Add(2) → if false { b.n.Add(2) }",
		"add-sign: b.n.Add(2) → b.n.Add(-(2))",
		"negate: x == 2 → !(x == 2)",
		"cas-to-load: b.n.CompareAndSwap(2, 3) → (b.n.Load() == 2)",
		"swap-to-load: b.n.Swap(x) → b.n.Load()",
		"never: b.n.Swap(x) != 0 → (b.n.Swap(x) != 0 && false)",
		"no-lock: b.mu.Lock … Unlock → nothing",
	} {
		if !strings.Contains("\n"+strings.Join(got, "\n")+"\n", "\n"+want+"\n") {
			t.Errorf("no mutant %q in\n%s", want, strings.Join(got, "\n"))
		}
	}
	for _, m := range found {
		if text := string(m.apply([]byte(sample))); text == sample || m.Function != "put" || m.Line < 10 {
			t.Errorf("%+v changes nothing, or is misplaced", m)
		}
		if _, err := find("mutant.go", m.apply([]byte(sample))); err != nil {
			t.Errorf("%s of %q is no Go: %v", m.Operator, m.Before, err)
		}
	}
}

// module writes a module with one package, half of which is tested.
func module(t *testing.T, test string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":      "module sample\n\ngo 1.26\n",
		"p/p.go":      "package p\n\nfunc Sign(x int) int {\n\tif x < 0 {\n\t\treturn -1\n\t}\n\tfor x > 100 {\n\t\tx--\n\t}\n\tif x == 77 {\n\t\treturn 78\n\t}\n\treturn x\n}\n",
		"p/p_test.go": "package p\n\nimport \"testing\"\n\nfunc TestSign(t *testing.T) {\n" + test + "}\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOWORK", "off")
	return root
}

const goodTest = "\tif Sign(-5) != -1 || Sign(200) != 100 || Sign(3) != 3 {\n\t\tt.Fatal()\n\t}\n"

func quickly(root string, harmless map[string]string, log *bytes.Buffer) *trial {
	return &trial{root: root, stages: []stage{{name: "all", timeout: 5 * time.Second}}, harmless: harmless, log: log, known: map[string]Result{}, began: time.Now()}
}

func TestUntestedBranchSurvivesAndIsReported(t *testing.T) {
	root := module(t, goodTest)
	list, err := findAll(root, "p")
	if err != nil || len(list) != 3 {
		t.Fatalf("%d mutants of 3, %v", len(list), err)
	}
	var log bytes.Buffer
	tr := quickly(root, nil, &log)
	if err := tr.all(t.Context(), list, 2); err != nil {
		t.Fatal(err)
	}
	s := summarize(tr.results)
	if s.Killed+s.TimedOut != 3 {
		t.Errorf("a negated branch is seen by any test: %+v", s)
	}
	tr = quickly(root, nil, &log)
	tr.total = 1
	lost := Mutant{File: "p/p.go", Line: 10, Function: "Sign", Operator: "never", Before: "x == 77", After: "(x == 77 && false)"}
	source, _ := os.ReadFile(filepath.Join(root, "p/p.go"))
	at := bytes.Index(source, []byte("x == 77"))
	lost.edits = []edit{{at, at + len("x == 77"), lost.After}}
	if err := tr.all(t.Context(), []Mutant{lost}, 1); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	good, err := report(&out, tr.results, "text")
	if err != nil || good || !strings.Contains(out.String(), `p/p.go:10 Sign: never: "x == 77"`) || !strings.Contains(log.String(), "survived") {
		t.Errorf("good %v, %v:\n%s%s", good, err, out.String(), log.String())
	}
	tr = quickly(root, map[string]string{lost.Key(): "77 never comes"}, &log)
	_ = tr.all(t.Context(), []Mutant{lost}, 1)
	if s := summarize(tr.results); s.Named != 1 || s.Unnamed != 0 {
		t.Errorf("a survivor with a reason counts as %+v", s)
	}
}

func TestMutantThatLoopsForEverIsKilledByTime(t *testing.T) {
	root := module(t, goodTest)
	source, _ := os.ReadFile(filepath.Join(root, "p/p.go"))
	at := bytes.Index(source, []byte("x--"))
	m := Mutant{File: "p/p.go", edits: []edit{{at, at + 3, "x++; x--"}}}
	tr := quickly(root, nil, &bytes.Buffer{})
	tr.stages[0].timeout = 2 * time.Second
	if err := tr.all(t.Context(), []Mutant{m}, 1); err != nil || tr.results[0].Verdict != TimedOut {
		t.Errorf("%+v, %v", tr.results, err)
	}
}

func TestRedTestsAndBadInputAreRefused(t *testing.T) {
	root := module(t, "\tt.Fatal()\n")
	err := quickly(root, nil, &bytes.Buffer{}).baseline(context.Background(), []string{"p"})
	if err == nil || !strings.Contains(err.Error(), "have to pass first") {
		t.Errorf("red tests gave %v", err)
	}
	bad := filepath.Join(t.TempDir(), "harmless.txt")
	if err := os.WriteFile(bad, []byte("# a comment\n\na | b | never | c # because\nno reason\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readHarmless(bad); err == nil || !strings.Contains(err.Error(), bad+":4:") {
		t.Errorf("a survivor without a reason gave %v", err)
	}
	if _, err := parse([]string{"-o", "yaml"}); err == nil {
		t.Error("an unknown output was taken")
	}
}

func TestInterruptedRunGoesOnWhereItStopped(t *testing.T) {
	root := module(t, goodTest)
	list, err := findAll(root, "p")
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "fates.json")
	known, _ := json.Marshal(Result{Mutant: list[0], Verdict: Survived})
	if err := os.WriteFile(kept, append(known, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	tr := quickly(root, nil, &bytes.Buffer{})
	if err := tr.load(kept); err != nil {
		t.Fatal(err)
	}
	if err := tr.all(t.Context(), list, 1); err != nil {
		t.Fatal(err)
	}
	if s := summarize(tr.results); s.Unnamed != 1 || s.Killed+s.TimedOut != 2 || tr.tried != 2 {
		t.Errorf("tried %d of 2: %+v", tr.tried, s)
	}
	if lines, _ := os.ReadFile(kept); bytes.Count(lines, []byte("\n")) != 3 {
		t.Errorf("kept %d results of 3", bytes.Count(lines, []byte("\n")))
	}
}

func TestOnlyTheFilesThatWereNamedAreMutated(t *testing.T) {
	m := Mutant{File: "pool/store.go", Line: 12}
	for only, want := range map[string]bool{
		"": true, "pool/store.go": true, "pool/core.go,pool/store.go:1": true, "pool/core.go": false, "pool/store.go:13,conn/": false,
	} {
		if got := (options{only: only}).wants(m); got != want {
			t.Errorf("-only %q lets %s:%d through: %t", only, m.File, m.Line, got)
		}
	}
}
