package cli

import (
	"bytes"
	"flag"
	"slices"
	"strings"
	"testing"
)

func TestWhoDoesNotSayYesChangesNothing(t *testing.T) {
	for answer, goes := range map[string]bool{"yes\n": true, " YES \r\n": true, "y\n": false, "no\n": false, "\n": false, "": false} {
		var said bytes.Buffer
		err := ask(t.Context(), System{In: strings.NewReader(answer), Err: &said}, &poolOrder{verb: "drain", pool: "orders"}, "127.0.0.1:6060")
		if (err == nil) != goes {
			t.Errorf("%q: %v", answer, err)
		}
		if text := said.String(); !strings.Contains(text, `Drain the pool "orders" at 127.0.0.1:6060?`) || !strings.Contains(text, "closed for good") {
			t.Errorf("asked was %q", text)
		}
	}
}

func TestFlagsMayStandAnywhere(t *testing.T) {
	for line, want := range map[string]string{
		"evict orders -o json":    "evict orders",
		"-o json evict orders":    "evict orders",
		"evict -o json orders":    "evict orders",
		"-o json evict -- -odd":   "evict -odd",
		"evict -- orders -o json": "evict orders -o json",
		"-- evict":                "evict",
		"":                        "",
	} {
		var format string
		f := flag.NewFlagSet("", flag.ContinueOnError)
		f.StringVar(&format, "o", "text", "")
		words, err := interleaved(f, strings.Fields(line))
		if err != nil || !slices.Equal(words, strings.Fields(want)) {
			t.Errorf("%q gives %q, -o %s, %v", line, words, format, err)
		}
	}
}

// FuzzBoardAddress: what is taken is asked over http or https, under a path that ends with a slash, and carries no password.
func FuzzBoardAddress(f *testing.F) {
	for _, s := range []string{"127.0.0.1:6060", "http://localhost/x", "https://h:1/debug/herz/", ":1", "[::1]:80", "http://u:p@h/", "h:p", "//", "http://h/?q#f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, addr string) {
		u, err := boardAddress(addr)
		if err != nil {
			return
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || !strings.HasSuffix(u.Path, "/") || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q is taken as %v", addr, u)
		}
	})
}
