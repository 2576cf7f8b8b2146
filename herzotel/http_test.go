package herzotel_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"

	"herz.example/herz/herzhttp"
	"herz.example/herz/herzotel"
	"herz.example/herz/pool"
	"herz.example/herz/signal"
)

// clientOf sends a request, closes the transport, and gives what was told before and after.
func clientOf(t *testing.T, opts ...herzotel.Option) (open, closed map[string]metricdata.Metrics, address string) {
	t.Helper()
	b := &bench{reader: sdkmetric.NewManualReader()}
	h, err := herzotel.NewHTTP(append(opts, herzotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader))))...)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	tr, err := herzhttp.New(herzhttp.Config{Watch: h, Observer: h})
	if err != nil {
		t.Fatal(err)
	}
	request(t, tr, s.URL)
	open = b.told(t)
	_ = tr.Drain(t.Context())
	return open, b.told(t), strings.Replace(strings.TrimPrefix(s.URL, "http://"), ":", " ", 1)
}

func request(t *testing.T, tr *herzhttp.Transport, url string) {
	t.Helper()
	req, _ := http.NewRequestWithContext(context.Background(), "GET", url, http.NoBody)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

func TestNamesAndUnitsOfHTTPAreThoseOfTheConventions(t *testing.T) {
	open, closed, address := clientOf(t)
	for name, unit := range map[string]string{
		httpconv.ClientRequestDuration{}.Name():    httpconv.ClientRequestDuration{}.Unit(),
		httpconv.ClientConnectionDuration{}.Name(): httpconv.ClientConnectionDuration{}.Unit(),
	} {
		if m, ok := closed[name]; !ok || m.Unit != unit {
			t.Errorf("%s is exported: %v, in %q, not %q", name, ok, m.Unit, unit)
		}
	}
	for name, unit := range map[string]string{
		httpconv.ClientOpenConnections{}.Name(): httpconv.ClientOpenConnections{}.Unit(),
		httpconv.ClientActiveRequests{}.Name():  httpconv.ClientActiveRequests{}.Unit(),
	} {
		if m, ok := open[name]; !ok || m.Unit != unit {
			t.Errorf("%s is exported: %v, in %q, not %q", name, ok, m.Unit, unit)
		}
	}
	for name := range closed {
		if !strings.HasPrefix(name, "http.client.") && !strings.HasPrefix(name, "herz.") {
			t.Errorf("%s is neither of the conventions nor of our own", name)
		}
	}
	for metric, points := range map[string]map[string]float64{
		signal.OpenConnections: {"active " + address: 0, "idle " + address: 1},
		signal.RequestDuration: {"404 GET 404 1.1 " + address: 1},
		signal.PhaseDuration:   {"connect " + address: 1, "wait " + address: 1, "first_byte " + address: 1},
	} {
		got := values(open[metric])
		for at, v := range points {
			if have, ok := got[at]; !ok || have != v {
				t.Errorf("%s: %v, want %v at %q", metric, got, v, at)
			}
		}
		if len(got) != len(points) {
			t.Errorf("%s: %v, want %v", metric, got, points)
		}
	}
	if string(httpconv.ConnectionStateActive) != "active" || string(httpconv.ConnectionStateIdle) != "idle" || string(httpconv.RequestMethodOther) != "_OTHER" {
		t.Error("the conventions have other words")
	}
}

func TestPoolsOfDatabasesAndOfHTTPAreToldOnceEach(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	b := newBench(t, pool.Limits{})
	h, err := herzotel.NewHTTP(herzotel.WithMeterProvider(b.meters))
	if err != nil {
		t.Fatal(err)
	}
	tr, err := herzhttp.New(herzhttp.Config{Name: "shop", Watch: h, Observer: h})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	b.acquire(t.Context(), t).Release()
	request(t, tr, s.URL)
	request(t, tr, s.URL)
	name := "shop/" + strings.TrimPrefix(s.URL, "http://")
	told := b.told(t)
	for metric, points := range map[string]map[string]float64{
		signal.Acquires: {"orders dialed": 1, "orders reused": 0, name + " dialed": 1, name + " reused": 1},
		signal.Oldest:   {"orders": 0, name: 0}, signal.KernelDrift: {"orders": 0, name: 0},
		signal.Max: {"orders": 10}, signal.Timeouts: {"orders": 0}, signal.WaitTime: {"orders": 1}, signal.UseTime: {"orders": 1},
	} {
		if got := values(told[metric]); !maps.Equal(got, points) {
			t.Errorf("%s: %v, want %v", metric, got, points)
		}
	}
	if err := tr.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := values(b.told(t)[signal.Oldest]); !maps.Equal(got, map[string]float64{"orders": 0}) {
		t.Errorf("a transport that is closed leaves its pools behind: %v", got)
	}
	_ = h.Close()
}

func TestObserverOfDatabasesCallsNoPoolOfHTTPADatabase(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	b := &bench{reader: sdkmetric.NewManualReader()}
	o, err := herzotel.New(herzotel.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader))))
	if err != nil {
		t.Fatal(err)
	}
	tr, err := herzhttp.New(herzhttp.Config{Observer: o})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	request(t, tr, s.URL)
	told := b.told(t)
	if got := values(told[signal.Dials]); got[strings.TrimPrefix(s.URL, "http://")+" ok"] != 1 {
		t.Errorf("%s: %v", signal.Dials, got)
	}
	for name, m := range told {
		if !signal.Own(name) && len(values(m)) > 0 {
			t.Errorf("%s is told of a pool of HTTP", name)
		}
	}
}

func TestArticleNamesAreToldOnlyWhenAskedFor(t *testing.T) {
	open, _, address := clientOf(t, herzotel.WithArticleNames())
	at := strings.Replace(address, " ", ":", 1)
	if got := values(open[signal.ConnectDuration]); got[at] <= 0 {
		t.Errorf("%s: %v", signal.ConnectDuration, got)
	}
	if got := values(open[signal.ConnectSuccess]); got[at+" tcp"] != 1 {
		t.Errorf("%s: %v", signal.ConnectSuccess, got)
	}
	if _, ok := open[signal.DNSDuration]; ok {
		t.Error("an address needs no look-up")
	}
}
