//go:build linux

package server

import "testing"

// Start starts a server and stops it when the test ends.
func Start(t testing.TB, k Kind, o Options) *Server {
	t.Helper()
	s, err := Open(k, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%v said: %s", k, s.Log())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
