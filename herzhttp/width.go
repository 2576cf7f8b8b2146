package herzhttp

import (
	"sync/atomic"
	"time"
)

// width keeps a host's connections from being given more requests at once than they take in all. A server that ends each HTTP/2 connection after so many
// requests (nginx keepalive_requests, Connection: close in Go) sends back those above; where many callers burst onto each new connection, most of them are
// sent back every time, and some until they have no tries left. The zero value sets no limit.
type width struct {
	carried atomic.Int64 // requests that the connection had taken that said goodbye last
	until   atomic.Int64 // by clock: when that is forgotten; 0: nothing is known
}

// widthLasts is for how long that holds. It is short, because the connection may have ended for another reason.
const widthLasts = int64(time.Second)

// learn notes that a connection said goodbye that had taken so many requests.
func (w *width) learn(carried int64) {
	w.carried.Store(max(carried, 1))
	w.until.Store(clock() + widthLasts)
}

// limit is how many requests a connection is lent at once that takes n, and has begun so many in its life: it may carry as many at once as it is known to take
// in all, which grows as long as it says nothing.
func (w *width) limit(n int, begun int64) int {
	until := w.until.Load()
	switch {
	case until == 0:
		return n
	case clock() > until:
		w.until.CompareAndSwap(until, 0)
		return n
	default:
		return min(n, int(max(w.carried.Load(), begun)))
	}
}
