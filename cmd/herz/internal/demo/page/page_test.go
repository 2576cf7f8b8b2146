package page_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"herz.example/herz/cmd/herz/internal/demo/page"
)

func ask(method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	page.Handler().ServeHTTP(w, httptest.NewRequest(method, target, http.NoBody))
	return w
}

// TestPageNeedsOnlyItsServer: the page and all that it names are built in, and its policy forbids everything else.
func TestPageNeedsOnlyItsServer(t *testing.T) {
	w := ask(http.MethodGet, "/")
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("the page is answered with %d, %v", w.Code, w.Header())
	}
	if p := w.Header().Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") || strings.Contains(p, "unsafe") {
		t.Errorf("the policy is %q", p)
	}
	assets := 0
	for part := range strings.SplitSeq(w.Body.String(), `"`) {
		if strings.HasPrefix(part, "http:") || strings.HasPrefix(part, "https:") || strings.HasPrefix(part, "//") {
			t.Errorf("the page names %s", part)
		}
		name, isAsset := strings.CutPrefix(part, "./")
		if !isAsset {
			continue
		}
		assets++
		got := ask(http.MethodGet, "/"+name)
		kind := got.Header().Get("Content-Type")
		if known := strings.HasPrefix(kind, "text/javascript") || strings.HasPrefix(kind, "text/css"); got.Code != http.StatusOK || !known {
			t.Errorf("%s is answered with %d as %s", name, got.Code, kind)
		}
	}
	if assets < 2 {
		t.Errorf("the page names %d assets, want a script and a style: is it built?", assets)
	}
}

func TestPageHasNothingElse(t *testing.T) {
	for _, target := range []string{"/assets", "/assets/", "/nothing", "/..", "/%2e%2e/page.go"} {
		if w := ask(http.MethodGet, target); w.Code != http.StatusNotFound {
			t.Errorf("%s is answered with %d", target, w.Code)
		}
	}
	if w := ask(http.MethodPost, "/"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST is answered with %d", w.Code)
	}
}
