package guard

import "time"

// started is the zero of the package's clock.
var started = time.Now()

// now is the monotonic time since the package was initialised, in nanoseconds. It reads one clock and not two, and inside
// a synctest bubble it follows the bubble's time.
func now() int64 { return int64(time.Since(started)) }

// inBubble reports whether the caller runs inside a testing/synctest bubble: only there has time.Now no monotonic
// reading, which Round(0) takes away.
func inBubble() bool {
	t := time.Now()
	return t == t.Round(0) //nolint:staticcheck // Equal ignores just the difference that is looked for
}
