//go:build linux

package signals_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"herz.example/herz/ceiling"
	"herz.example/herz/herzprom"
	"herz.example/herz/pool"
	"herz.example/herz/signal"
)

const deploy = "../../deploy"

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRulesPassTheirUnitTests(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "herz.rules.yml"}, {"test", "rules", "herz.rules_test.yml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = filepath.Join(deploy, "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

func TestRulesAndBoardAskOnlyForWhatIsExported(t *testing.T) {
	exported := map[string]bool{herzprom.ActiveConnections: true}
	for _, m := range slices.Concat(signal.Metrics(), signal.HTTPMetrics(), signal.ArticleMetrics()) {
		exported[m.Prometheus()] = true
		if m.Kind == signal.Histogram {
			exported[m.Prometheus()+"_bucket"] = true
		}
	}
	asked := regexp.MustCompile(`\b(?:herz|db_client|dns|connect|tls)_[a-z_]+`)
	labels := []string{signal.PrometheusLabel(signal.PoolName), signal.PrometheusLabel(signal.State)}
	for _, file := range []string{"prometheus/herz.rules.yml", "grafana/herz-pools.json"} {
		found := 0
		for _, name := range asked.FindAllString(read(t, file), -1) {
			if slices.Contains(labels, name) || strings.HasPrefix(name, "herz_reuse") || strings.HasPrefix(name, "herz_used") || strings.HasPrefix(name, "herz_wait") || strings.HasPrefix(name, "herz_deaths") {
				continue // a label, or a series that the rules record
			}
			found++
			if !exported[name] {
				t.Errorf("%s asks for %s, which nobody exports", file, name)
			}
		}
		if found < 10 {
			t.Errorf("%s asks for %d metrics only", file, found)
		}
	}
	if !json.Valid([]byte(read(t, "grafana/herz-pools.json"))) {
		t.Error("the board is no JSON")
	}
}

// watch starts a Prometheus that scrapes g and has the rules, with waits of seconds in place of minutes. It gives what fires, as "alert pool".
func watch(t *testing.T, g prometheus.Gatherer) (firing func() map[string]bool) {
	t.Helper()
	app := httptest.NewServer(promhttp.HandlerFor(g, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	t.Cleanup(app.Close)
	dir, port := t.TempDir(), freePort(t)
	rules := regexp.MustCompile(`for: \w+`).ReplaceAllString(read(t, "prometheus/herz.rules.yml"), "for: 2s")
	config := fmt.Sprintf("global: {scrape_interval: 500ms, evaluation_interval: 500ms}\nrule_files: [herz.rules.yml]\nscrape_configs: [{job_name: shop, static_configs: [{targets: [%q]}]}]\n",
		strings.TrimPrefix(app.URL, "http://"))
	for name, text := range map[string]string{"herz.rules.yml": rules, "prometheus.yml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program(t, "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:"+port)
	api := "http://127.0.0.1:" + port + "/api/v1/"
	if !within(30*time.Second, func() bool {
		return strings.Contains(get(api+"query?query=up"), `"1"`) && strings.Contains(get(api+"query?query=pool:herz_used:ratio"), `"value"`)
	}) {
		t.Fatal("Prometheus did not scrape and evaluate within 30 s")
	}
	return func() map[string]bool {
		var answer struct {
			Data struct {
				Alerts []struct {
					State  string
					Labels map[string]string
				}
			}
		}
		if err := json.Unmarshal([]byte(get(api+"alerts")), &answer); err != nil {
			t.Error(err)
		}
		all := map[string]bool{}
		for _, a := range answer.Data.Alerts {
			if a.State == "firing" {
				all[a.Labels["alertname"]+" "+a.Labels[signal.PrometheusLabel(signal.PoolName)]] = true
			}
		}
		return all
	}
}

func get(url string) string {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return string(text)
}

func TestEachAlertFiresForItsFaultAndForNoPoolThatIsWell(t *testing.T) {
	learner := ceiling.New(ceiling.Config{Logger: slog.New(slog.DiscardHandler)})
	metrics := herzprom.New(herzprom.Config{Learner: learner})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(metrics)
	s := newScene(t, metrics, learner)
	firing := watch(t, registry)
	time.Sleep(3 * time.Second) // several evaluations, all of pools that are well
	if early := firing(); len(early) > 0 {
		t.Fatalf("before any fault: %v", early)
	}
	want := map[string]bool{}
	for name, fault := range s.faults() {
		fault.run()
		for _, alert := range fault.alerts {
			want[alert+" "+name] = true
		}
	}
	t.Cleanup(s.end)
	missing := func() (names []string) {
		now := firing()
		for name := range want {
			if !now[name] {
				names = append(names, name)
			}
		}
		return names
	}
	if !within(60*time.Second, func() bool { return len(missing()) == 0 }) {
		t.Errorf("a minute after their faults these do not fire: %v", missing())
	}
	for name := range firing() {
		if !want[name] && !s.alsoTrue[name] {
			t.Errorf("%s fires without a fault", name)
		}
	}
	t.Logf("fired: %v", slices.Sorted(maps.Keys(want)))
}

func TestPushgatewayHasTheLastNumbersOfAShortJob(t *testing.T) {
	port := freePort(t)
	program(t, "prometheus-pushgateway", "--web.listen-address=127.0.0.1:"+port)
	gateway := "http://127.0.0.1:" + port
	if !within(15*time.Second, func() bool { return strings.Contains(get(gateway+"/-/ready"), "OK") }) {
		t.Fatal("the Pushgateway did not start within 15 s")
	}
	metrics := herzprom.New(herzprom.Config{})
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	p := plainPool(t, "nightly", metrics, pool.Limits{})
	for range 3 {
		lend(t, p).Release()
	}
	job(t, registry, gateway)
	text := get(gateway + "/metrics")
	for _, line := range []string{
		`herz_pool_acquires_total{db_client_connection_pool_name="nightly",instance="",job="report",source="reused"} 2`,
		`db_client_connection_wait_time_seconds_count{db_client_connection_pool_name="nightly",instance="",job="report"} 3`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("the Pushgateway does not show %s", line)
		}
	}
}
