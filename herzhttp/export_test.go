package herzhttp

import (
	"testing"
	"time"
)

// ForgetAtOnce makes hosts without connections be forgotten at the next occasion.
func ForgetAtOnce(t testing.TB) {
	was := forgetAfter
	forgetAfter = 0
	t.Cleanup(func() { forgetAfter = was })
}

// KeepAliveOf is what a header Keep-Alive says.
func KeepAliveOf(value string) time.Duration { return keepAliveOf(value) }

// TraceOf is what a header traceparent says.
func TraceOf(value string) string { return traceOf(value) }
