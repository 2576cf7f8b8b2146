//go:build linux

package signals_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"herz.example/herz/herzprom"
	"herz.example/herz/signal"
)

var boards = []string{"herz-pools", "herz-http"}

// exported gives the labels of each series that Prometheus gets, by its name.
func exported() map[string][]string {
	all := map[string][]string{}
	add := func(m signal.Metric, more ...string) {
		labels := append([]string{"job", "instance"}, more...)
		for _, key := range m.Attributes {
			labels = append(labels, signal.PrometheusLabel(key))
		}
		if m.Kind != signal.Histogram {
			all[m.Prometheus()] = labels
			return
		}
		all[m.Prometheus()+"_bucket"], all[m.Prometheus()+"_count"], all[m.Prometheus()+"_sum"] = append(labels, "le"), labels, labels
	}
	pool := signal.PrometheusLabel(signal.PoolName)
	for _, m := range signal.Metrics() {
		add(m, pool)
	}
	for _, m := range slices.Concat(signal.HTTPMetrics(), signal.ArticleMetrics()) {
		add(m)
	}
	all[herzprom.ActiveConnections] = []string{"job", "instance", pool}
	return all
}

func TestRulesAndBoardsAskOnlyForWhatIsExported(t *testing.T) {
	known := exported()
	var labels []string // of any
	for _, list := range known {
		labels = append(labels, list...)
	}
	rules := read(t, "prometheus/herz.rules.yml")
	recorded := regexp.MustCompile(`record: (\S+)`).FindAllStringSubmatch(rules, -1)
	asked := regexp.MustCompile(`\b(?:herz|db_client|http_client|dns|connect|tls)_[a-z_]+`)
	selected := regexp.MustCompile(`\b([a-z][a-z_]+)\{([^}]*)\}`)
	named := regexp.MustCompile(`([a-z_]+)(?:=|!)`)
	for _, file := range []string{"prometheus/herz.rules.yml", "grafana/herz-pools.json", "grafana/herz-http.json"} {
		text, found := read(t, file), 0
		for _, r := range recorded {
			text = strings.ReplaceAll(text, r[1], "")
		}
		for _, name := range asked.FindAllString(text, -1) {
			if slices.Contains(labels, name) {
				continue
			}
			found++
			_, ok := known[name]
			_, prose := known[name+"_bucket"] // texts name a histogram as a whole
			if !ok && !prose {
				t.Errorf("%s asks for %s, which nobody exports", file, name)
			}
		}
		for _, s := range selected.FindAllStringSubmatch(text, -1) {
			for _, label := range named.FindAllStringSubmatch(regexp.MustCompile(`\\?"[^"]*"`).ReplaceAllString(s[2], ""), -1) {
				if have, ok := known[s[1]]; ok && !slices.Contains(have, label[1]) {
					t.Errorf("%s asks for %s by %s, which it has not", file, s[1], label[1])
				}
			}
		}
		if found < 10 {
			t.Errorf("%s asks for %d metrics only", file, found)
		}
	}
}

// queries are those of a board's panels, for all that its variables can be.
func queries(t *testing.T, board string) (list []string) {
	t.Helper()
	var b struct {
		UID    string
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/"+board+".json")), &b); err != nil {
		t.Fatalf("%s: %v", board, err)
	}
	ids := map[int]bool{}
	with := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$job", ".*", "$instance", ".*", "$pool", ".*", "$host", ".*")
	for _, p := range b.Panels {
		if ids[p.ID] {
			t.Errorf("%s: two panels have the number %d", board, p.ID)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			query := with.Replace(target.Expr)
			if strings.Contains(query, "$") {
				t.Errorf("%s, %s: a variable that the board has not: %s", board, p.Title, query)
			}
			list = append(list, query)
		}
	}
	if b.UID != board || len(list) < 10 {
		t.Errorf("%s has the UID %s, and %d queries", board, b.UID, len(list))
	}
	return list
}

func TestQueriesOfBoardsAreUnderstoodByPrometheus(t *testing.T) {
	for _, board := range boards {
		type rule struct {
			Record string `json:"record"`
			Expr   string `json:"expr"`
		}
		var rules []rule
		for _, query := range queries(t, board) {
			rules = append(rules, rule{"board:query", query})
		}
		text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": board, "rules": rules}}}) // which is YAML, too
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), board+".yml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("promtool", "check", "rules", "--lint=none", file).CombinedOutput(); err != nil {
			t.Errorf("promtool of %s: %v\n%s", board, err, out)
		}
	}
}
