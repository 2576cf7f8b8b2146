//go:build !race

package guard_test

// raceEnabled says that the race detector's own allocations are counted too.
const raceEnabled = false
