//go:build linux

package netns

import "testing"

// New makes a namespace that lives as long as the test. Processes that still run inside are killed then.
func New(t testing.TB) *NS {
	t.Helper()
	n, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, n.Close)
	return n
}

// NewRouter makes a router that lives as long as the test.
func NewRouter(t testing.TB, servers int) *Router {
	t.Helper()
	r, err := OpenRouter(servers)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, r.Close)
	return r
}

func closeAfter(t testing.TB, end func() error) {
	t.Helper()
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("netns: %v", err)
		}
	})
}
