package signal

import (
	"sync"
	"time"
)

// dimensions are the article's words for the phases of a dial, in the order of articleGauges.
var dimensions = [...]string{"dns", "connect", "tls"}

var articleGauges = [...]string{DNSDuration, ConnectDuration, TLSHandshake}

const (
	// HealthWindow is the article's: values are put together for each five seconds.
	HealthWindow = 5 * time.Second
	// healthKept is how many windows are looked back on, so that a scrape each minute misses none.
	healthKept = 12
)

// health is what one phase of the dials to one host took, by windows. Nobody has to turn the windows: whoever writes or reads knows the time.
type health struct {
	// mu guards windows. Nothing is called under it.
	mu      sync.Mutex
	windows [healthKept + 1]window
}

// window is one of HealthWindow, in milliseconds.
type window struct {
	number       int64 // since 1970; what has another number in this place is over
	count        int
	sum, highest float64
}

func numberOf(at time.Time) int64 { return at.UnixNano() / int64(HealthWindow) }

func (h *health) add(at time.Time, took time.Duration) {
	n, ms := numberOf(at), float64(took)/float64(time.Millisecond)
	h.mu.Lock()
	defer h.mu.Unlock()
	w := &h.windows[n%int64(len(h.windows))]
	if w.number != n {
		*w = window{number: n}
	}
	w.count++
	w.sum += ms
	w.highest = max(w.highest, ms)
}

// read gives the highest value of the last twelve complete windows and of the one that runs, and the mean of the newest complete one that has any;
// -1 where none has.
func (h *health) read(at time.Time) (highest, mean float64, ok bool) {
	n, newest := numberOf(at), int64(-1)
	mean = -1
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.windows {
		w := &h.windows[i]
		if w.count == 0 || w.number > n || w.number < n-healthKept {
			continue
		}
		highest, ok = max(highest, w.highest), true
		if w.number < n && w.number > newest {
			newest, mean = w.number, w.sum/float64(w.count)
		}
	}
	return highest, mean, ok
}
