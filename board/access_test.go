package board_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"herz.example/herz/board"
)

var targets = []string{"/debug/herz/", "/debug/herz/api/snapshot", "/debug/herz/api/events", "/debug/herz", "/elsewhere"}

func from(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func TestForeignCallerIsRefused(t *testing.T) {
	b := board.New(board.Config{})
	for name, change := range map[string]func(*http.Request){
		"neighbour":              from("192.0.2.7:50000"),
		"neighbour by IPv6":      from("[2001:db8::7]:50000"),
		"mapped neighbour":       from("[::ffff:192.0.2.7]:50000"),
		"no address":             from(""),
		"nonsense":               from("@"),
		"through a proxy":        header("X-Forwarded-For", "127.0.0.1"),
		"through a newer proxy":  header("Forwarded", "for=192.0.2.7"),
		"through another proxy":  header("X-Real-IP", "192.0.2.7"),
		"DNS rebinding":          host("evil.example:6060"),
		"rebinding to a number":  host("192.0.2.7"),
		"a name that only looks": host("localhost.evil.example"),
		"another that does":      host("127.0.0.1.evil.example"),
		"no host":                host(""),
	} {
		for _, target := range targets {
			res := ask(b, "GET", target, change)
			if res.Status != http.StatusForbidden || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s gets %d for %s", name, res.Status, target)
			}
			if !strings.Contains(res.Body, "Authorize") {
				t.Errorf("%s is not told what to do: %q", name, res.Body)
			}
		}
	}
}

func TestLocalCallerIsServed(t *testing.T) {
	b := board.New(board.Config{})
	for name, change := range map[string]func(*http.Request){
		"IPv4":           from("127.0.0.1:50000"),
		"all of 127/8":   from("127.9.9.9:50000"),
		"IPv6":           from("[::1]:50000"),
		"mapped":         from("[::ffff:127.0.0.1]:50000"),
		"localhost":      host("LocalHost"),
		"a name under":   host("herz.localhost:6060"),
		"final dot":      host("localhost.:6060"),
		"number":         host("127.0.0.1:6060"),
		"IPv6 host":      host("[::1]:6060"),
		"IPv6 host bare": host("[::1]"),
		"UNIX socket": func(r *http.Request) {
			r.RemoteAddr = "@"
			*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "s", Net: "unix"}))
		},
	} {
		if res := ask(b, "GET", "/debug/herz/api/snapshot", change); res.Status != http.StatusOK {
			t.Errorf("%s gets %d", name, res.Status)
		}
	}
}

func TestAuthorizeDecidesAlone(t *testing.T) {
	b := board.New(board.Config{Authorize: func(r *http.Request) error {
		if r.Header.Get("Authorization") != "Bearer right" {
			return errors.New("the secret reason")
		}
		return nil
	}})
	for _, target := range targets {
		res := ask(b, "GET", target)
		if res.Status != http.StatusForbidden || strings.Contains(res.Body, "secret") {
			t.Errorf("without a token %s gives %d: %s", target, res.Status, res.Body)
		}
	}
	res := ask(b, "GET", "/debug/herz/api/snapshot", header("Authorization", "Bearer right"), from("192.0.2.7:1"), host("board.example"))
	if res.Status != http.StatusOK {
		t.Errorf("with a token: %d", res.Status)
	}
}

func TestBoardOnlyShows(t *testing.T) {
	b := board.New(board.Config{})
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
		for _, target := range targets {
			if res := ask(b, method, target); res.Status != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s gives %d", method, target, res.Status)
			}
		}
	}
	for _, target := range targets[:3] {
		res := ask(b, "HEAD", target)
		if res.Status != http.StatusOK || res.Body != "" {
			t.Errorf("HEAD %s gives %d and %q", target, res.Status, res.Body)
		}
	}
}

// TestPageLoadsNothingFromElsewhere: the page works offline and tells nobody that it was opened.
func TestPageLoadsNothingFromElsewhere(t *testing.T) {
	b := board.New(board.Config{})
	res := ask(b, "GET", "/debug/herz/")
	page := res.Body
	if res.Status != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("the page is answered with %d, %v", res.Status, res.Header)
	}
	policy := res.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	if res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Error("the browser may guess content types")
	}
	assets := 0
	for _, part := range strings.Split(page, `"`) {
		if !strings.HasPrefix(part, "./assets/") {
			continue
		}
		assets++
		got := ask(b, "GET", "/debug/herz/"+strings.TrimPrefix(part, "./"))
		if got.Status != http.StatusOK || !strings.Contains(got.Header.Get("Cache-Control"), "immutable") || got.Body == "" {
			t.Errorf("%s is answered with %d, %v", part, got.Status, got.Header)
		}
		want := "text/javascript"
		if strings.HasSuffix(part, ".css") {
			want = "text/css"
		}
		if !strings.HasPrefix(got.Header.Get("Content-Type"), want) {
			t.Errorf("%s is %s, want %s", part, got.Header.Get("Content-Type"), want)
		}
	}
	if assets < 2 {
		t.Errorf("the page names %d assets, want a script and a style: is it built?", assets)
	}
	if strings.Contains(page, `src="http`) || strings.Contains(page, `href="http`) || strings.Contains(page, `"//`) {
		t.Error("the page loads something from elsewhere")
	}
}

func TestBoardStandsUnderItsPrefix(t *testing.T) {
	for _, prefix := range []string{"", "ops/herz", "/ops/herz", "/ops/herz/", "/"} {
		b := board.New(board.Config{Prefix: prefix})
		at := "/ops/herz/"
		if prefix == "" || prefix == "/" {
			at = board.DefaultPrefix
		}
		if res := ask(b, "GET", at+"api/snapshot"); res.Status != http.StatusOK {
			t.Errorf("prefix %q: %d", prefix, res.Status)
		}
		res := ask(b, "GET", strings.TrimSuffix(at, "/"))
		if res.Status != http.StatusMovedPermanently || res.Header.Get("Location") != at {
			t.Errorf("prefix %q without its slash: %d to %q", prefix, res.Status, res.Header.Get("Location"))
		}
		for _, wrong := range []string{"/", at + "nothing", at + "assets", at + "api/", "/x" + at} {
			if res := ask(b, "GET", wrong); res.Status != http.StatusNotFound {
				t.Errorf("prefix %q: %s gives %d", prefix, wrong, res.Status)
			}
		}
	}
}
