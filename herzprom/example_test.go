package herzprom_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"herz.example/herz/herzhttp"
	"herz.example/herz/herzprom"
)

// The collector is the transport's Watch, which tells of requests and dials, and its Observer, which tells of pools.
func ExampleNewHTTP() {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()

	metrics := herzprom.NewHTTP(herzprom.HTTPConfig{})
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	transport, err := herzhttp.New(herzhttp.Config{Watch: metrics, Observer: metrics})
	if err != nil {
		log.Fatal(err)
	}
	defer transport.Close()
	client := &http.Client{Transport: transport}

	for range 3 {
		resp, err := client.Get(server.URL)
		if err != nil {
			log.Fatal(err)
		}
		_ = resp.Body.Close()
	}

	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "http_client_request") && f.GetName() != "herz_http_phase_duration_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "phase" || l.GetName() == "http_response_status_code" {
					fmt.Println(f.GetName(), l.GetValue(), m.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	// Output:
	// herz_http_phase_duration_seconds connect 1
	// herz_http_phase_duration_seconds first_byte 3
	// herz_http_phase_duration_seconds wait 3
	// http_client_request_duration_seconds 404 3
}
