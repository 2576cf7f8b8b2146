//go:build linux

package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"herz.example/herz/faultlab/server"
)

// asks sends n GETs and returns how often each answer came.
func asks(t *testing.T, c *http.Client, url string, n int) map[string]int {
	t.Helper()
	met := map[string]int{}
	for range n {
		req, err := http.NewRequestWithContext(context10(t), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		who, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		met[resp.Proto+" "+string(who)]++
	}
	return met
}

func TestEnvoyLeadsToEachHealthyServerInTurnOverConnectionsThatItKeeps(t *testing.T) {
	var made atomic.Int32
	var to []string
	for i := range 3 {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/readyz" && i == 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			fmt.Fprint(w, i)
		}))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				made.Add(1)
			}
		}
		s.Start()
		t.Cleanup(s.Close)
		to = append(to, strings.TrimPrefix(s.URL, "http://"))
	}
	e := server.Start(t, server.Envoy, server.Options{To: to, TLS: true, Settings: []string{
		"health_check.http_health_check.path=/readyz", "health_check.interval=60s", "health_check.timeout=2s",
		"health_check.healthy_threshold=1", "health_check.unhealthy_threshold=3", "--drain-time-s=2",
	}})
	for proto, second := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!second)
		protocols.SetHTTP2(second)
		tr := &http.Transport{TLSClientConfig: e.TLSConfig(), Protocols: protocols}
		met := asks(t, &http.Client{Transport: tr}, "https://"+e.Addr(), 10)
		tr.CloseIdleConnections()
		if met[proto+" 0"] != 5 || met[proto+" 1"] != 5 {
			t.Errorf("ten requests met %v; want each of the two healthy servers five times by %s", met, proto)
		}
	}
	// One of each server for its checks, and one of each of two for requests.
	if made.Load() != 5 {
		t.Errorf("%d connections were made to the servers, want 5", made.Load())
	}
	if uids, err := e.UIDs(); err != nil || len(uids) != 1 || uids[0] == 0 {
		t.Errorf("it has processes of the accounts %v: %v", uids, err)
	}
	stats, err := e.Admin(t.Context(), "/stats?filter=membership_healthy")
	if err != nil || strings.TrimSpace(stats) != "cluster.lab.membership_healthy: 2" {
		t.Errorf("its administration says %q: %v", stats, err)
	}
	if err := e.Kill(); err != nil || answers(e.Addr()) {
		t.Errorf("after Kill it answers %t: %v", answers(e.Addr()), err)
	}
	if err := e.Restart(); err != nil {
		t.Errorf("after a kill it does not start again: %v", err)
	}
}

func TestSettingsThatEnvoyDoesNotHaveAreRefused(t *testing.T) {
	for _, set := range []string{"mode=http", "manager=1", "manager.no_such_field=1", "manager.via.x=1"} {
		s, err := server.Open(server.Envoy, server.Options{To: []string{"127.0.0.1:1"}, Settings: []string{"manager.via=y", set}})
		if err == nil {
			s.Close()
			t.Errorf("%s was taken", set)
		}
	}
}
