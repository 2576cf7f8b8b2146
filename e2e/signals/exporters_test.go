//go:build linux

package signals_test

import (
	"context"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"herz.example/herz/herzhttp"
	"herz.example/herz/herzotel"
	"herz.example/herz/herzprom"
	"herz.example/herz/pool"
	"herz.example/herz/signal"
)

// number is what a series shows: of a histogram how many, and their sum.
type number struct{ value, sum float64 }

// both tells two watchers.
type both [2]herzhttp.Watch

func (b both) Dialed(d herzhttp.Dial) { b[0].Dialed(d); b[1].Dialed(d) }
func (b both) Tried(t herzhttp.Try)   { b[0].Tried(t); b[1].Tried(t) }

func TestBothExportersTellTheSameOfHTTPClients(t *testing.T) {
	ours := herzprom.NewHTTP(herzprom.HTTPConfig{})
	reader := sdkmetric.NewManualReader()
	theirs, err := herzotel.NewHTTP(herzotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/ends":
			panic(http.ErrAbortHandler)
		case "/stays":
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	tr, err := herzhttp.New(herzhttp.Config{
		Name: "shop", Watch: both{ours, theirs}, Observer: pool.Tee(ours, theirs), Limits: pool.Limits{MaxOpen: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	for _, path := range []string{"GET /", "POST /", "POST /ends", "GET /", "POST /stays", "GET /"} {
		method, where, _ := strings.Cut(path, " ")
		send(t, tr, method, s.URL+where)
	}
	stay, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		req, _ := http.NewRequestWithContext(stay, "GET", s.URL+"/stays", http.NoBody)
		if resp, err := tr.RoundTrip(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	if !within(20*time.Second, func() bool { return tr.Pools()[0].Stats().InUse == 1 }) {
		t.Fatal("the request that stays has no connection")
	}
	send(t, tr, "GET", s.URL+"/") // waits in vain
	s.CloseClientConnections()    // of the one that stays, too, which is repeated
	leave()
	<-gone
	send(t, tr, "GET", s.URL+"/")
	s.CloseClientConnections() // while it rests
	if !within(20*time.Second, func() bool { return tr.Pools()[0].Stats().Open == 0 }) {
		t.Fatal("the pool does not see that its connection has ended")
	}
	send(t, tr, "GET", s.URL+"/")
	seen := same(t, gathered(t, ours), collected(t, reader))
	for _, m := range signal.HTTPMetrics() {
		if !seen[m.Prometheus()] {
			t.Errorf("neither exports %s", m.Name)
		}
	}
	for _, m := range signal.Metrics() {
		switch m.Name {
		case signal.IdleCeiling, signal.Unasked, signal.HeartbeatRT: // there is no learner, no result, and no ping
			continue
		}
		if seen[m.Prometheus()] != signal.Own(m.Name) {
			t.Errorf("%s is exported of a pool of HTTP: %v", m.Name, seen[m.Prometheus()])
		}
	}
	if err := tr.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := collected(t, reader)
	maps.DeleteFunc(after, func(at string, _ number) bool {
		return strings.HasPrefix(at, signal.PrometheusLabel(signal.IdleAtDeath)) // histograms of a pool that has gone stay with OpenTelemetry's SDK
	})
	same(t, gathered(t, ours), after)
}

// send sends a request that has half a second.
func send(t *testing.T, tr *herzhttp.Transport, method, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := tr.RoundTrip(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

// same compares two exporters, and gives the names of what they tell.
func same(t *testing.T, prom, otel map[string]number) (seen map[string]bool) {
	t.Helper()
	seen = map[string]bool{}
	for at, n := range prom {
		name, _, _ := strings.Cut(at, "{")
		seen[name] = true
		if other, ok := otel[at]; !ok || other.value != n.value || math.Abs(other.sum-n.sum) > 1e-6 {
			t.Errorf("%s: herzprom tells %v, herzotel %v (%v)", at, n, other, ok)
		}
	}
	for at, n := range otel {
		if _, ok := prom[at]; !ok {
			t.Errorf("%s: herzotel tells %v, herzprom nothing", at, n)
		}
	}
	return seen
}

func series(name string, labels []string) string {
	slices.Sort(labels)
	return name + "{" + strings.Join(labels, ",") + "}"
}

// gathered is what Prometheus gets. Of histograms without a value OpenTelemetry tells nothing.
func gathered(t *testing.T, c prometheus.Collector) map[string]number {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]number{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetValue() != "" {
					labels = append(labels, l.GetName()+"="+l.GetValue())
				}
			}
			at := series(f.GetName(), labels)
			switch h := m.GetHistogram(); {
			case h == nil:
				all[at] = number{value: m.GetGauge().GetValue() + m.GetCounter().GetValue()}
			case h.GetSampleCount() > 0:
				all[at] = number{float64(h.GetSampleCount()), h.GetSampleSum()}
			}
		}
	}
	return all
}

// collected is what OpenTelemetry gets, by the names that Prometheus has for it.
func collected(t *testing.T, reader sdkmetric.Reader) map[string]number {
	t.Helper()
	names := map[string]string{}
	for _, m := range slices.Concat(signal.Metrics(), signal.HTTPMetrics()) {
		names[m.Name] = m.Prometheus()
	}
	var told metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &told); err != nil {
		t.Fatal(err)
	}
	all := map[string]number{}
	for _, scope := range told.ScopeMetrics {
		for _, m := range scope.Metrics {
			add := func(set attribute.Set, n number) {
				var labels []string
				for _, kv := range set.ToSlice() {
					labels = append(labels, signal.PrometheusLabel(string(kv.Key))+"="+kv.Value.String())
				}
				all[series(names[m.Name], labels)] = n
			}
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					add(p.Attributes, number{value: float64(p.Value)})
				}
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					add(p.Attributes, number{value: float64(p.Value)})
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					add(p.Attributes, number{value: p.Value})
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					add(p.Attributes, number{float64(p.Count), p.Sum})
				}
			default:
				t.Errorf("%s is told as %T", m.Name, d)
			}
		}
	}
	return all
}
