package herzprom_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"herz.example/herz/herzprom"
	"herz.example/herz/pool"
)

func TestNumbersOfAShortJobArePushedAtItsEnd(t *testing.T) {
	var pushes atomic.Int64
	var last atomic.Pointer[string]
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := r.Method + " " + r.URL.Path + " " + string(body)
		last.Store(&text)
		if pushes.Add(1) == 2 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer gateway.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	c := herzprom.New(herzprom.Config{})
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	p := newPool(t, "nightly", c, pool.Limits{})
	ctx, end := context.WithCancel(context.Background())
	done, failed := make(chan error, 1), make(chan error, 10)
	go func() {
		done <- herzprom.Push(ctx, r, herzprom.PushConfig{
			URL: gateway.URL, Job: "nightly", Grouping: map[string]string{"instance": "a"}, Every: 10 * time.Millisecond, Failed: func(err error) { failed <- err },
		})
	}()
	late, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	select {
	case err := <-failed:
		if !strings.Contains(err.Error(), gateway.URL) {
			t.Errorf("the failure %q does not say where", err)
		}
	case <-late.Done():
		t.Fatal("a push that failed was not told")
	}
	acquire(t, p).Release()
	end()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	text := *last.Load()
	if !strings.HasPrefix(text, "PUT /metrics/job/nightly/instance/a ") || !strings.Contains(text, "herz_pool_acquires_total") {
		t.Errorf("the last push was %.80q", text)
	}
}

func TestPushWithoutAPlaceToGoIsRefused(t *testing.T) {
	if err := herzprom.Push(context.Background(), prometheus.NewRegistry(), herzprom.PushConfig{Job: "x"}); err == nil {
		t.Error("pushed to nowhere")
	}
}
