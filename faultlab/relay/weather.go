package relay

import (
	"fmt"
	"time"
)

// MostDelay bounds each time of a Weather.
const MostDelay = time.Minute

// Weather is what happens to the packets of each direction. The zero value is a good path.
type Weather struct {
	// Delay is added to the way of every packet.
	Delay time.Duration
	// Jitter is the most that is added on top, drawn evenly from 0 for each packet. A round trip has twice that.
	Jitter time.Duration
	// Loss is the share of packets that is lost, from 0 to 1.
	Loss float64
	// Freeze is how long the path stands still at the end of each Every: packets wait, and then pass all at once. Both or
	// none are 0. The first Every begins with [Relay.Set].
	Freeze, Every time.Duration
	// Reorder lets packets of one flow overtake each other under Jitter. False: a packet waits for those of its flow that came before it.
	Reorder bool
}

// Check refuses what cannot be, in words.
func (w Weather) Check() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Delay", w.Delay}, {"Jitter", w.Jitter}, {"Freeze", w.Freeze}, {"Every", w.Every}} {
		if d.value < 0 || d.value > MostDelay {
			return fmt.Errorf("relay: %s is %v; it must be from 0 to %v", d.name, d.value, MostDelay)
		}
	}
	if !(w.Loss >= 0 && w.Loss <= 1) { // so that NaN is refused
		return fmt.Errorf("relay: Loss is %v; it is a share, from 0 to 1", w.Loss)
	}
	if (w.Freeze > 0) != (w.Every > 0) || w.Freeze > w.Every {
		return fmt.Errorf("relay: a freeze of %v in each %v cannot be: Every must be at least as long as Freeze, and both or none 0", w.Freeze, w.Every)
	}
	return nil
}

// thaw is when a packet that would arrive at a time does arrive, where the path freezes since a time.
func (w Weather) thaw(at, since time.Time) time.Time {
	if w.Every == 0 {
		return at
	}
	if into := at.Sub(since) % w.Every; into >= w.Every-w.Freeze {
		return at.Add(w.Every - into)
	}
	return at
}
