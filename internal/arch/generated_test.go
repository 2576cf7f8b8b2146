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
	"herz.example/herz/signal"
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

// TestGeneratedMetrics compares docs/metrics.md with the list of metrics.
func TestGeneratedMetrics(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# Metrics\n\nGenerated from package `signal` by `make generate`. Edit the list there, not this file.\n\n")
	b.WriteString("`herzotel` tells OpenTelemetry these metrics, and `herzprom` Prometheus the same, as the usual translation spells them. Names that begin with `db.` are those of the semantic conventions (1.43), where they have the status *Development*; ")
	b.WriteString("those that begin with `herz.` have no word there. Every one has the attribute `" + signal.PoolName + "`, for Prometheus `" + signal.PrometheusLabel(signal.PoolName) + "`, ")
	b.WriteString("and those in the last column; there is none for a connection, a peer or a query. Times are in seconds. `herzprom` also exports `herz_pool_active_connections`, which is the count of the state `used`.\n\n")
	b.WriteString(tableOf(signal.Metrics()))
	b.WriteString("\nOf pools with one name in one process *numbers* and *counters* add up and of *greatest* the greatest counts. The reasons of `" + signal.Closed + "` are the causes of [states.md](states.md); all of them are exported from the start, so that an alert sees the first.\n")
	fmt.Fprintf(&b, "\nThe histograms of waits, uses, dials and heartbeats have the bounds %v seconds; that of the idle age at death %v, dense where hops between close connections.\n", signal.Seconds(), signal.IdleSeconds())
	b.WriteString("\n## HTTP clients\n\nOf a `herzhttp.Transport`, by `herzprom.NewHTTP` and `herzotel.NewHTTP`. Its pools have the metrics above whose names begin with `herz.` too, and never those that begin with `db.`, which are of databases: so with every exporter that is given to a transport. ")
	fmt.Fprintf(&b, "`server.address` and `server.port` are those of the URL, never what it resolved to: %d hosts at most, and one series, `%s` without a port, for all that are met later. ", signal.MaxHosts, signal.OtherHost)
	b.WriteString("Names that begin with `http.client.` are those of the conventions, of which the duration of requests is *stable*. A try is what they call a request: one that is repeated counts twice.\n\n")
	b.WriteString(tableOf(signal.HTTPMetrics()))
	fmt.Fprintf(&b, "\nThe bounds are %v for times of requests and phases, %v for ages of connections, in seconds, and %v for requests.\n", signal.HTTPBounds(""), signal.HTTPBounds(signal.ConnectionDuration), signal.HTTPBounds(signal.ConnectionRequests))
	b.WriteString("\nUnder `HTTPConfig.ArticleNames` and `herzotel.WithArticleNames` these, too. Their names, and milliseconds, are not the conventions':\n\n")
	b.WriteString(tableOf(signal.ArticleMetrics()))
	same(t, "docs/metrics.md", b.Bytes())
}

// tableOf is a list of metrics in Markdown.
func tableOf(list []signal.Metric) string {
	var b strings.Builder
	b.WriteString("| metric | for Prometheus | unit | kind | what it says | further attributes |\n|---|---|---|---|---|---|\n")
	kinds := map[signal.Kind]string{
		signal.UpDown: "number", signal.Highest: "greatest", signal.Lowest: "least", signal.Counter: "counter", signal.Histogram: "histogram",
	}
	for _, m := range list {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |", m.Name, m.Prometheus(), m.Unit, kinds[m.Kind], m.Help)
		for i, a := range m.Attributes {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, " `%s`", a)
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

// public are the packages whose exported API is listed in api/.
var public = []string{"conn", "registry", "guard", "pool", "herzsql", "herzhttp", "board", "herztest", "signal", "ceiling", "herzconfig", "herzgrpc", "herzmysql", "herzotel", "herzpgx", "herzpq", "herzprom", "herzredis", "herzws"}

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
