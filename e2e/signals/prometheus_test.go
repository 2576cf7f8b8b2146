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
	"net/url"
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

// gathering fails the test when the registry finds fault with what was collected.
type gathering struct{ t *testing.T }

// Println is called by promhttp.
func (g gathering) Println(v ...any) { g.t.Error("a scrape:", fmt.Sprint(v...)) }

// station is a Prometheus that runs.
type station struct {
	t   *testing.T
	api string
}

// watch starts a Prometheus that scrapes g and has the rules, with waits of seconds in place of minutes.
func watch(t *testing.T, g prometheus.Gatherer) *station {
	t.Helper()
	app := httptest.NewServer(promhttp.HandlerFor(g, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorLog: gathering{t}}))
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
	return &station{t, api}
}

// firing gives what fires, as "alert pool", where an HTTP client's pool has the host's address with port as its name.
func (s *station) firing() map[string]bool {
	s.t.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	if err := json.Unmarshal([]byte(get(s.api+"alerts")), &answer); err != nil {
		s.t.Error(err)
	}
	all := map[string]bool{}
	for _, a := range answer.Data.Alerts {
		name := a.Labels[signal.PrometheusLabel(signal.PoolName)]
		if host := a.Labels[signal.PrometheusLabel(signal.ServerAddress)]; host != "" {
			name = host + ":" + a.Labels[signal.PrometheusLabel(signal.ServerPort)]
		}
		if a.State == "firing" {
			all[a.Labels["alertname"]+" "+name] = true
		}
	}
	return all
}

// series is how many series a query gives.
func (s *station) series(query string) int {
	s.t.Helper()
	var answer struct {
		Error string
		Data  struct{ Result []any }
	}
	if err := json.Unmarshal([]byte(get(s.api+"query?query="+url.QueryEscape(query))), &answer); err != nil || answer.Error != "" {
		s.t.Errorf("%s: %v %s", query, err, answer.Error)
	}
	return len(answer.Data.Result)
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
	web := herzprom.NewHTTP(herzprom.HTTPConfig{Pools: metrics})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(metrics, web)
	s := newScene(t, metrics, learner)
	c := newClients(s, web)
	station := watch(t, registry)
	time.Sleep(3 * time.Second) // several evaluations, all of pools that are well
	if early := station.firing(); len(early) > 0 {
		t.Fatalf("before any fault: %v", early)
	}
	want := map[string]bool{}
	faults := s.faults()
	maps.Copy(faults, c.faults())
	for name, fault := range faults {
		fault.run()
		for _, alert := range fault.alerts {
			want[alert+" "+name] = true
		}
	}
	t.Cleanup(s.end)
	missing := func() (names []string) {
		now := station.firing()
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
	for name := range station.firing() {
		if !want[name] && !s.alsoTrue[name] {
			t.Errorf("%s fires without a fault", name)
		}
	}
	for _, query := range queries(t, "herz-http") {
		if !within(20*time.Second, func() bool { return station.series(query) > 0 }) { // a scrape that comes late leaves a gap
			t.Errorf("the board of HTTP clients asks for %s, and there is none", query)
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
