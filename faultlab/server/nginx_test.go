//go:build linux

package server_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"herz.example/herz/faultlab/server"
)

func TestNginxLeadsToEachServerInTurnOverConnectionsThatItKeeps(t *testing.T) {
	var made atomic.Int32
	var to []string
	for i := range 2 {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, i) }))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				made.Add(1)
			}
		}
		s.Start()
		t.Cleanup(s.Close)
		to = append(to, strings.TrimPrefix(s.URL, "http://"))
	}
	n := server.Start(t, server.Nginx, server.Options{
		To: to, Settings: []string{"server=max_fails=1 fail_timeout=2s", "upstream=keepalive_timeout 30s", "proxy_next_upstream=error"},
	})
	client := &http.Client{}
	t.Cleanup(client.CloseIdleConnections)
	met := asks(t, client, "http://"+n.Addr(), 10)
	if met["HTTP/1.1 0"] != 5 || met["HTTP/1.1 1"] != 5 || made.Load() != 2 {
		t.Errorf("ten requests met %v over %d connections, want each server five times, over one", met, made.Load())
	}
	// A worker of its own would outlive a master that is killed.
	if uids, err := n.UIDs(); err != nil || len(uids) != 1 || uids[0] == 0 {
		t.Errorf("it has processes of the accounts %v: %v", uids, err)
	}
	if err := n.Kill(); err != nil || answers(n.Addr()) {
		t.Errorf("after Kill it answers %t: %v", answers(n.Addr()), err)
	}
}
