package conn

import "time"

// Unasked is a place in a program that reads results, and at which results were cut short without anybody looking at their error.
type Unasked struct {
	Site  string    // function, file and line that read the rows
	Count uint64    // how often; at least 1
	Last  time.Time // when it was last found, which is a garbage collection later than it happened
	Death Death     // of the connection that was lost then
}
