package herzprom_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"herz.example/herz/guard"
	"herz.example/herz/herzhttp"
	"herz.example/herz/herzprom"
	"herz.example/herz/pool"
)

// shop is a server that answers by the path: the status it names, or the end of the connection.
func shop(t *testing.T, encrypted bool) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var status int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &status); err != nil {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
	}))
	if encrypted {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func newTransport(t *testing.T, cfg herzhttp.Config, metrics *herzprom.HTTP) *herzhttp.Transport {
	t.Helper()
	cfg.Watch, cfg.Observer = metrics, metrics
	tr, err := herzhttp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

func ask(t *testing.T, tr http.RoundTripper, method, url string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// shown gives the series of a scrape as text, with their labels by name; of a histogram the count, and its sum if it is of things.
func shown(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var words []string
			for _, l := range m.GetLabel() {
				if l.GetValue() != "" {
					words = append(words, l.GetName()+"="+l.GetValue())
				}
			}
			name := f.GetName() + "{" + strings.Join(words, ",") + "}"
			all[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			if h := m.GetHistogram(); h != nil {
				all[name] = float64(h.GetSampleCount())
				all["sum of "+name] = h.GetSampleSum()
			}
		}
	}
	return all
}

func TestRequestsDialsAndConnectionsOfHTTPHaveTheConventionsNames(t *testing.T) {
	s := shop(t, false)
	metrics := herzprom.NewHTTP(herzprom.HTTPConfig{})
	tr := newTransport(t, herzhttp.Config{Name: "shop"}, metrics)
	url := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	port := url[strings.LastIndex(url, ":")+1:]
	for _, r := range []string{"GET 200", "POST 503", "BREW 418"} {
		method, status, _ := strings.Cut(r, " ")
		if err := ask(t, tr, method, url+"/"+status); err != nil {
			t.Fatal(err)
		}
	}
	at := "server_address=localhost,server_port=" + port
	labelled := "{" + at + "}"
	want(t, shown(t, metrics), map[string]float64{
		"http_client_open_connections{http_connection_state=active," + at + "}": 0, "http_client_open_connections{http_connection_state=idle," + at + "}": 1,
		"http_client_active_requests" + labelled: 0, "herz_http_max_connections" + labelled: 100, "herz_http_waiting" + labelled: 0,
	})
	if err := ask(t, tr, "POST", url+"/hangs up"); !errors.Is(err, guard.ErrAmbiguous) {
		t.Fatalf("the server ended the connection: %v", err)
	}
	_ = tr.Drain(t.Context())
	got := shown(t, metrics)
	want(t, got, map[string]float64{
		"http_client_request_duration_seconds{http_request_method=GET,http_response_status_code=200,network_protocol_version=1.1," + at + "}":                   1,
		"http_client_request_duration_seconds{error_type=503,http_request_method=POST,http_response_status_code=503,network_protocol_version=1.1," + at + "}":   1,
		"http_client_request_duration_seconds{error_type=418,http_request_method=_OTHER,http_response_status_code=418,network_protocol_version=1.1," + at + "}": 1,
		"http_client_request_duration_seconds{error_type=ambiguous,http_request_method=POST,network_protocol_version=1.1," + at + "}":                           1,
		"http_client_connection_duration_seconds" + labelled:            1,
		"sum of herz_http_connection_requests" + labelled:               4,
		"herz_http_ambiguous_total{reason=connection_lost," + at + "}":  1,
		"herz_http_ambiguous_total{reason=canceled," + at + "}":         0,
		"herz_http_ambiguous_total{reason=timeout," + at + "}":          0,
		"herz_http_repeats_total{reason=harmless," + at + "}":           0,
		"herz_http_repeats_total{reason=not_delivered," + at + "}":      0,
		"herz_http_phase_duration_seconds{phase=resolve," + at + "}":    1,
		"herz_http_phase_duration_seconds{phase=connect," + at + "}":    1,
		"herz_http_phase_duration_seconds{phase=wait," + at + "}":       4,
		"herz_http_phase_duration_seconds{phase=first_byte," + at + "}": 3,
	})
	for name := range got {
		if strings.HasPrefix(name, "db_") || strings.Contains(name, "phase=tls") || strings.Contains(name, "_ms") || strings.Contains(name, "connect_success") {
			t.Errorf("%s is exported", name)
		}
	}
}

func TestPhasesAreOfConnectionsAndOnlyThoseThatHappened(t *testing.T) {
	s := shop(t, true)
	metrics := herzprom.NewHTTP(herzprom.HTTPConfig{ArticleNames: true})
	pool := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	tr := newTransport(t, herzhttp.Config{Base: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}, metrics)
	for range 5 {
		if err := ask(t, tr, "GET", s.URL+"/204"); err != nil {
			t.Fatal(err)
		}
	}
	host, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
	at := "server_address=" + host + ",server_port=" + port
	got := shown(t, metrics)
	want(t, got, map[string]float64{
		"http_client_request_duration_seconds{http_request_method=GET,http_response_status_code=204,network_protocol_version=2," + at + "}": 5,
		"herz_http_phase_duration_seconds{phase=connect," + at + "}":                                                                        1,
		"herz_http_phase_duration_seconds{phase=tls," + at + "}":                                                                            1,
		"connect_success_total{addr=" + host + ":" + port + ",network=tcp}":                                                                 1,
	})
	for _, name := range []string{"connect_duration_ms", "tls_handshake_ms"} {
		if v := got[name+"{host="+host+":"+port+"}"]; v <= 0 {
			t.Errorf("%s is %v after a dial", name, v)
		}
	}
	for name := range got {
		if strings.Contains(name, "phase=resolve") || strings.HasPrefix(name, "dns_") {
			t.Errorf("%s is exported, and an address needs no look-up", name)
		}
	}
}

func TestRepeatsAreCountedByWhatAllowsThem(t *testing.T) {
	metrics := herzprom.NewHTTP(herzprom.HTTPConfig{})
	metrics.Dialed(herzhttp.Dial{Host: "shop:80"})
	metrics.Tried(herzhttp.Try{Host: "shop:80", Repeats: true, Unsent: true, Err: io.EOF})
	metrics.Tried(herzhttp.Try{Host: "shop:80", Repeats: true, Err: io.EOF})
	metrics.Tried(herzhttp.Try{Host: "shop:80", Repeats: true, Err: io.EOF})
	want(t, shown(t, metrics), map[string]float64{
		"herz_http_repeats_total{reason=not_delivered,server_address=shop,server_port=80}": 1,
		"herz_http_repeats_total{reason=harmless,server_address=shop,server_port=80}":      2,
	})
}

func TestRequestThatItsCallerGaveUpIsToldFromOneThatWasLost(t *testing.T) {
	for reason, err := range map[string]error{
		"connection_lost": io.EOF, "timeout": context.DeadlineExceeded, "canceled": fmt.Errorf("x: %w", context.Canceled),
	} {
		metrics := herzprom.NewHTTP(herzprom.HTTPConfig{})
		metrics.Dialed(herzhttp.Dial{Host: "shop:80"})
		metrics.Tried(herzhttp.Try{Host: "shop:80", Method: "POST", Err: &herzhttp.AmbiguousError{Err: err}})
		got := shown(t, metrics)
		for _, each := range []string{"connection_lost", "timeout", "canceled"} {
			n, ok := got["herz_http_ambiguous_total{reason="+each+",server_address=shop,server_port=80}"]
			if !ok || n != 0 != (each == reason) {
				t.Errorf("%v: of reason %s there are %v (%v)", err, each, n, ok)
			}
		}
	}
}

func TestHostsPastTheLimitShareOneSeries(t *testing.T) {
	s := shop(t, false)
	metrics := herzprom.NewHTTP(herzprom.HTTPConfig{MaxHosts: 2, ArticleNames: true})
	tr := newTransport(t, herzhttp.Config{Base: &http.Transport{Proxy: http.ProxyURL(mustParse(t, s.URL))}}, metrics)
	for i := range 6 {
		if err := ask(t, tr, "GET", fmt.Sprintf("http://host%d.example/200", i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 { // of dials and tries alone, too
		metrics.Dialed(herzhttp.Dial{Host: fmt.Sprintf("made-up%d:80", i), Network: "tcp", Connect: time.Second})
	}
	got := shown(t, metrics)
	want(t, got, map[string]float64{
		"herz_http_phase_duration_seconds{phase=first_byte,server_address=host1.example,server_port=80}": 1,
		"herz_http_phase_duration_seconds{phase=first_byte,server_address=other}":                        4,
		"http_client_open_connections{http_connection_state=idle,server_address=other}":                  4,
		"connect_success_total{addr=other,network=tcp}":                                                  24,
		"herz_pool_acquires_total{db_client_connection_pool_name=host0.example:80,source=dialed}":        1,
		"herz_pool_acquires_total{db_client_connection_pool_name=other,source=dialed}":                   4,
	})
	for name := range got {
		if strings.Contains(name, "host2") || strings.Contains(name, "made-up") {
			t.Errorf("%s is past the limit", name)
		}
	}
}

func TestWindowsOfFiveSecondsAreReadWithoutAnybodyTurningThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics := herzprom.NewHTTP(herzprom.HTTPConfig{ArticleNames: true})
		dial := func(resolve time.Duration) {
			metrics.Dialed(herzhttp.Dial{Host: "shop:443", Network: "tcp", Resolve: resolve, Connect: 20 * time.Millisecond, TLS: 900 * time.Millisecond})
		}
		const mean, longest = "connection_health_metrics{dimension=dns,host=shop:443}", "dns_duration_ms{host=shop:443}"
		dial(100 * time.Millisecond)
		dial(400 * time.Millisecond)
		if got := shown(t, metrics); got[longest] != 400 || has(got, "connection_health_metrics") {
			t.Errorf("the window is not over: %v", got)
		}
		time.Sleep(5 * time.Second)
		dial(30 * time.Millisecond)
		want(t, shown(t, metrics), map[string]float64{
			mean: 250, longest: 400, "connection_health_metrics{dimension=connect,host=shop:443}": 20, "connection_health_metrics{dimension=tls,host=shop:443}": 900,
			"tls_handshake_ms{host=shop:443}": 900, "connect_duration_ms{host=shop:443}": 20, "dns_starts_total{addr=shop:443,network=tcp}": 3,
		})
		time.Sleep(5 * time.Second)
		want(t, shown(t, metrics), map[string]float64{mean: 30, longest: 400})
		time.Sleep(55 * time.Second) // the first one is the thirteenth before this
		want(t, shown(t, metrics), map[string]float64{mean: 30, longest: 30})
		time.Sleep(5 * time.Second)
		if got := shown(t, metrics); has(got, "connection_health_metrics") || has(got, "dns_duration_ms") {
			t.Errorf("there was no dial for a minute: %v", got)
		}
	})
}

func TestOneRegistryHasPoolsOfDatabasesAndOfHTTP(t *testing.T) {
	s := shop(t, false)
	databases := herzprom.New(herzprom.Config{})
	metrics := herzprom.NewHTTP(herzprom.HTTPConfig{Pools: databases})
	p := newPool(t, "orders", databases, pool.Limits{})
	acquire(t, p).Release()
	tr := newTransport(t, herzhttp.Config{Name: "shop"}, metrics)
	if err := ask(t, tr, "GET", s.URL+"/200"); err != nil {
		t.Fatal(err)
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(databases, metrics)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	pools := map[string][]string{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "db_client_connection_pool_name" && !slices.Contains(pools[f.GetName()], l.GetValue()) {
					pools[f.GetName()] = append(pools[f.GetName()], l.GetValue())
				}
			}
		}
	}
	address := strings.TrimPrefix(s.URL, "http://")
	if got := pools["db_client_connection_count"]; !slices.Equal(got, []string{"orders"}) {
		t.Errorf("pools of databases: %v", got)
	}
	if got := pools["herz_pool_acquires_total"]; !slices.Equal(got, []string{"orders", "shop/" + address}) {
		t.Errorf("all pools: %v", got)
	}
	_ = tr.Drain(t.Context())
	if got := shown(t, databases); has(got, "herz_pool_acquires_total{db_client_connection_pool_name=shop") {
		t.Error("a transport that is closed leaves its pools behind")
	}
}

func TestCollectorOfDatabasesCallsNoPoolOfHTTPADatabase(t *testing.T) {
	s := shop(t, false)
	metrics := herzprom.New(herzprom.Config{})
	tr, err := herzhttp.New(herzhttp.Config{Observer: metrics})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	if err := ask(t, tr, "GET", s.URL+"/200"); err != nil {
		t.Fatal(err)
	}
	got := shown(t, metrics)
	name := "{db_client_connection_pool_name=" + strings.TrimPrefix(s.URL, "http://")
	want(t, got, map[string]float64{"herz_pool_dials_total" + name + ",result=ok}": 1, "herz_pool_oldest_waiter_seconds" + name + "}": 0})
	for series := range got {
		if strings.HasPrefix(strings.TrimPrefix(series, "sum of "), "db_") || strings.HasPrefix(series, herzprom.ActiveConnections) {
			t.Errorf("%s is exported of a pool of HTTP", series)
		}
	}
}

func TestNamesOfHTTPAreWhatPrometheusExpects(t *testing.T) {
	s := shop(t, false)
	metrics := herzprom.NewHTTP(herzprom.HTTPConfig{ConstLabels: prometheus.Labels{"service": "shop"}})
	tr := newTransport(t, herzhttp.Config{}, metrics)
	if err := ask(t, tr, "GET", s.URL+"/200"); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.CollectAndLint(metrics)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestErrorsOfRequestsAreWordsOfAShortList(t *testing.T) {
	for word, err := range map[string]error{
		"pool_closed": herzhttp.ErrClosed, "canceled": fmt.Errorf("x: %w", context.Canceled), "timeout": &pool.DialError{Err: context.DeadlineExceeded},
		"connection_error": &pool.DialError{Err: errors.New("refused")}, "ambiguous": &herzhttp.AmbiguousError{Err: io.EOF}, "_OTHER": io.ErrUnexpectedEOF,
	} {
		metrics := herzprom.NewHTTP(herzprom.HTTPConfig{})
		metrics.Tried(herzhttp.Try{Host: "shop:80", Method: "GET", Err: err})
		want(t, shown(t, metrics), map[string]float64{
			"http_client_request_duration_seconds{error_type=" + word + ",http_request_method=GET,server_address=shop,server_port=80}": 1,
		})
	}
}

func TestRequestCostsTheCollectorNoAllocation(t *testing.T) {
	metrics := herzprom.NewHTTP(herzprom.HTTPConfig{})
	try := herzhttp.Try{Host: "shop:80", Method: "GET", Status: 200, Waited: time.Microsecond, FirstByte: time.Millisecond}
	metrics.Tried(try)
	if n := testing.AllocsPerRun(1000, func() { metrics.Tried(try) }); n > 0 {
		t.Errorf("%v allocations for a try", n)
	}
}

func mustParse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
