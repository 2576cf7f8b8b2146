package guard_test

import (
	"fmt"
	"slices"
	"time"
)

// spread says minimum, median, 99th percentile and maximum.
func spread(d []time.Duration) string {
	s := slices.Sorted(slices.Values(d))
	return fmt.Sprintf("min %v, p50 %v, p99 %v, max %v of %d", s[0], percentile(s, 50), percentile(s, 99), s[len(s)-1], len(s))
}

// percentile needs sorted values.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}
