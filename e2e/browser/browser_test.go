//go:build linux

package browser_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/e2e/browser"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><title>t</title>%s`, body)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/"
}

func TestGoodPageIsReadAndBlameless(t *testing.T) {
	address := serve(t, `<p id="n">0</p><i></i><i></i><script>setInterval(() => n.textContent++, 20)</script>`)
	p := browser.Open(t, address)
	first := p.Text("#n")
	for deadline := time.Now().Add(5 * time.Second); p.Text("#n") == first; {
		if time.Now().After(deadline) {
			t.Fatal("the page does not move")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if p.Text("#absent") != "" || p.Count("i") != 2 {
		t.Errorf("absent text %q, %d elements", p.Text("#absent"), p.Count("i"))
	}
	if e, s := p.Errors(), p.Strangers(address); len(e)+len(s) > 0 {
		t.Errorf("errors %q, strangers %q", e, s)
	}
	if _, err := png.Decode(bytes.NewReader(p.Screenshot())); err != nil {
		t.Errorf("picture: %v", err)
	}
}

func TestComplaintsAndForeignRequestsAreHeard(t *testing.T) {
	address := serve(t, `<script>console.error("cross")</script><script>nowhere()</script><img src="/missing.png">`+
		`<img src="http://127.0.0.2:1/stranger.png">`)
	p := browser.Open(t, address)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all := strings.Join(p.Errors(), "\n")
		heard := strings.Contains(all, "cross") && strings.Contains(all, "nowhere") && strings.Contains(all, "missing.png")
		if heard && len(p.Strangers(address)) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("errors %q, strangers %q", p.Errors(), p.Strangers(address))
		}
	}
}
