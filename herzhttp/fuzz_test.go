package herzhttp_test

import (
	"strings"
	"testing"
	"time"

	"herz.example/herz/herzhttp"
)

func FuzzKeepAliveHeader(f *testing.F) {
	for value, want := range map[string]time.Duration{
		"timeout=5": 5 * time.Second, "timeout=5, max=100": 5 * time.Second, "max=100,Timeout = 5": 0, "max=1, TIMEOUT=7": 7 * time.Second,
		"timeout=0": 0, "timeout=-3": 0, "timeout=99999999999999999999": 0, "timeout": 0, "": 0, ",,=,": 0, "timeout=x, timeout=2": 2 * time.Second,
	} {
		f.Add(value)
		if got := herzhttp.KeepAliveOf(value); got != want {
			f.Errorf("%q says %v, want %v", value, got, want)
		}
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := herzhttp.KeepAliveOf(value); got < 0 || got%time.Second != 0 || got > 0 && !strings.Contains(strings.ToLower(value), "timeout") {
			t.Errorf("%q says %v", value, got)
		}
	})
}

func FuzzTraceparentHeader(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("00-00000000000000000000000000000000-00f067aa0ba902b7-01")
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		if id := herzhttp.TraceOf(value); id != "" && (len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" || !strings.Contains(value, id)) {
			t.Errorf("%q is of trace %q", value, id)
		}
	})
}
