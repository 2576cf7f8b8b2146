package herzhttp_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/herzhttp"
)

// Balancers connect in advance. net/http counts the time for the first header from the connection's beginning.
func TestConnectionThatWaitsForItsFirstRequestIsNotClosedBeforeTheBalancerWould(t *testing.T) {
	for name, hs := range map[string]*http.Server{
		"nothing is set":      {Handler: done},
		"a time for requests": {Handler: done, ReadTimeout: 80 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, hs, herzhttp.ServerConfig{})
				for _, after := range []time.Duration{30 * time.Second, herzhttp.DefaultBalancerIdle} {
					k := r.connect()
					time.Sleep(after)
					if status, _ := k.get("/"); status != http.StatusOK {
						t.Errorf("after %v: %d", after, status)
					}
				}
				r.server.Close()
				<-r.ended
			})
		})
	}
}

func TestServerSaysWhenItsTimeForHeadersIsShorterThanTheBalancersIdleTime(t *testing.T) {
	for name, c := range map[string]struct {
		hs    *http.Server
		warns int
	}{
		"nothing is set":          {&http.Server{}, 0},
		"headers":                 {&http.Server{ReadHeaderTimeout: 5 * time.Second}, 1},
		"requests":                {&http.Server{ReadTimeout: 5 * time.Second}, 1},
		"requests, longer":        {&http.Server{ReadTimeout: time.Minute + 1}, 0},
		"headers without a limit": {&http.Server{ReadHeaderTimeout: -1, ReadTimeout: time.Second}, 0},
	} {
		log, set := &lines{}, c.hs.ReadTimeout != 0
		if _, err := herzhttp.NewServer(c.hs, herzhttp.ServerConfig{Logger: slogTo(log)}); err != nil {
			t.Error(err)
		}
		if n := len(log.with("level=WARN", "severity=warning", "change=http.Server.ReadHeaderTimeout", "idle connections for 1m0s")); n != c.warns {
			t.Errorf("%s: told %d times: %v", name, n, log.with())
		}
		if set && c.hs.ReadHeaderTimeout > 0 {
			t.Errorf("%s: the program's time became %v", name, c.hs.ReadHeaderTimeout)
		}
	}
}
