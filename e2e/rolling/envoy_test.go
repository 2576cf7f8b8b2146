//go:build linux

package rolling_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"herz.example/herz/faultlab/server"
	"herz.example/herz/herzhttp"
)

// checked is a server that fails some of its health checks and is well again after that.
type checked struct {
	silent bool // it fails by saying nothing

	mu     sync.Mutex // guards what follows; nothing else happens under it
	left   int        // checks to fail
	failed []time.Time
}

func (c *checked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	fails := c.left > 0
	if fails {
		c.left--
		c.failed = append(c.failed, time.Now())
	}
	c.mu.Unlock()
	switch {
	case fails && c.silent:
		<-r.Context().Done()
	case fails:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// fail makes it fail the next checks.
func (c *checked) fail(checks int) {
	c.mu.Lock()
	c.left = checks
	c.mu.Unlock()
}

// checks are when the checks came that failed.
func (c *checked) checks() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]time.Time(nil), c.failed...)
}

// What docs/shutdown.md and Alignment say of Envoy alone: one unexpected status is enough, and an interval begins at the end of the check before.
func TestEnvoyNoticesAsAlignmentSays(t *testing.T) {
	a := herzhttp.Alignment{HealthInterval: time.Second, HealthTimeout: 500 * time.Millisecond, UnhealthyThreshold: 3, ChecksInTurn: true}
	for name, c := range map[string]struct {
		silent   bool
		checks   int           // that fail until it has noticed
		earliest time.Duration // after the first of them
	}{
		"a status": {checks: 1},
		"silence":  {silent: true, checks: 3, earliest: 2*(a.HealthInterval+a.HealthTimeout) + a.HealthTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := &checked{silent: c.silent}
			s := httptest.NewServer(behind)
			t.Cleanup(s.Close)
			e := server.Start(t, server.Envoy, server.Options{To: []string{s.Listener.Addr().String()}, Settings: []string{
				"health_check.http_health_check.path=/readyz", "health_check.interval=1s", "health_check.no_traffic_interval=1s", "health_check.timeout=0.5s",
				"health_check.unhealthy_threshold=3", "health_check.healthy_threshold=1000", // once noticed, it stays so
			}})
			behind.fail(c.checks)
			began := time.Now()
			for healthy := true; healthy; time.Sleep(10 * time.Millisecond) {
				text, err := e.Admin(t.Context(), "/stats?filter=membership_healthy")
				if err != nil || time.Since(began) > 30*time.Second {
					t.Fatalf("after %v Envoy says %q: %v", time.Since(began), text, err)
				}
				healthy = !strings.HasSuffix(strings.TrimSpace(text), " 0")
			}
			checks := behind.checks()
			if len(checks) != c.checks {
				t.Fatalf("Envoy noticed after %d checks that failed, want %d", len(checks), c.checks)
			}
			// The first check is seen here a little later than Envoy began it.
			if after := time.Since(checks[0]); after < c.earliest-100*time.Millisecond {
				t.Errorf("Envoy noticed %v after the first check that failed, want %v at least", after, c.earliest)
			}
			most := map[bool]time.Duration{false: a.DetectionOnStatus(), true: a.DetectionOnSilence()}[c.silent]
			t.Logf("figures: noticed after %v; Alignment says %v at most", time.Since(began).Round(10*time.Millisecond), most)
		})
	}
}
