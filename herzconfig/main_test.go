package herzconfig_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/herzconfig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// env looks variables up in a map.
func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

// parse reads a text that has to be valid.
func parse(t *testing.T, text string) *herzconfig.Settings {
	t.Helper()
	s, problems := herzconfig.Parser{Env: env(nil)}.Parse("herz-config.yaml", []byte(text))
	if s == nil {
		t.Fatalf("%v", problems)
	}
	return s
}

// eventually polls until ok, and fails after ten seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
