package relay

import (
	"errors"
	"io"
	"sync"
	"time"
)

// Relay is the path between two ends.
type Relay struct {
	out, in *lane
	ends    []io.Closer
	running sync.WaitGroup

	once sync.Once
	err  error
}

// Stats counts packets of one direction, or of both.
type Stats struct {
	Carried  uint64 // packets passed on
	Lost     uint64 // by Loss, or in an outage
	Overflow uint64 // dropped because too many waited
	Foreign  uint64 // dropped because they were not IPv4
	Waiting  int    // now
	// Late is the longest that a packet that waited was passed on after its time, because this process did not get to run: the path was
	// so much worse than asked for.
	Late time.Duration
}

// New carries packets between two ends: each Read gives one packet and each Write takes one. The ends belong to the relay from now on.
// Random choices come from the seed.
func New(outer, inner io.ReadWriteCloser, seed uint64) *Relay {
	r := &Relay{out: newLane(outer, inner, seed, 0), in: newLane(inner, outer, seed, 1), ends: []io.Closer{outer, inner}}
	for _, l := range []*lane{r.out, r.in} {
		r.running.Go(l.take)
		r.running.Go(l.give)
	}
	return r
}

// Set changes the weather for packets that come from now on.
func (r *Relay) Set(w Weather) error {
	if err := w.Check(); err != nil {
		return err
	}
	now := time.Now()
	r.each(func(l *lane) { l.weather, l.since = w, now })
	return nil
}

// Outage loses every packet from now on for so long; 0 ends an outage.
func (r *Relay) Outage(d time.Duration) {
	until := time.Now().Add(d)
	r.each(func(l *lane) { l.lostUntil = until })
}

// Stall holds every packet from now on for so long; 0 ends it, for packets that come later. Those that wait pass when it was to end.
func (r *Relay) Stall(d time.Duration) {
	until := time.Now().Add(d)
	r.each(func(l *lane) { l.stillUntil = until })
}

func (r *Relay) each(f func(l *lane)) {
	for _, l := range []*lane{r.out, r.in} {
		l.mu.Lock()
		f(l)
		l.mu.Unlock()
	}
}

// Stats gives the counts of the direction from the outer end to the inner, and of the other.
func (r *Relay) Stats() (out, in Stats) { return r.out.count(), r.in.count() }

// Close ends the relay and closes its ends. It may be called twice.
func (r *Relay) Close() error {
	r.once.Do(func() {
		r.each((*lane).closeLocked)
		var errs []error
		for _, e := range r.ends {
			errs = append(errs, e.Close())
		}
		r.running.Wait()
		r.err = errors.Join(errs...)
	})
	return r.err
}
