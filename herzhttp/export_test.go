package herzhttp

import (
	"testing"
)

// ForgetAtOnce makes hosts without connections be forgotten at the next occasion.
func ForgetAtOnce(t testing.TB) {
	was := forgetAfter
	forgetAfter = 0
	t.Cleanup(func() { forgetAfter = was })
}
