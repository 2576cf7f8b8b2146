package herzhttp_test

import (
	"io"
	"net/http"
	"testing"
)

// mallocs is how many allocations one GET costs, client and server together.
func mallocs(t *testing.T, tr http.RoundTripper, url string) float64 {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	one := func() {
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	for range 200 {
		one()
	}
	return testing.AllocsPerRun(1000, one)
}

func TestRequestAllocatesNoMoreThanNetHTTP(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	for protocol, most := range map[string]float64{"http/1.1": 1.0, "http/1.1 over TLS": 1.0, "HTTP/2": 1.1, "HTTP/2 without TLS": 1.1} {
		s, cfg := newSite(t, protocol, hello)
		base := cfg.Base.Clone()
		if base.Protocols == nil {
			base.ForceAttemptHTTP2 = protocol == "HTTP/2"
		}
		plain := mallocs(t, base, s.URL)
		base.CloseIdleConnections()
		ours := mallocs(t, newTransport(t, cfg), s.URL)
		t.Logf("%s: net/http %.0f, herzhttp %.0f", protocol, plain, ours)
		if ours > plain*most {
			t.Errorf("%s: %.0f allocations a request, net/http has %.0f; at most %.2f of that", protocol, ours, plain, most)
		}
	}
}
