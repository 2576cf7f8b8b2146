package herzsql

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// pause keeps a database in guarded mode from dialling a server that refuses, such as one that is full, as often as callers come: database/sql
// dials for each of them at once. After a failed dial one caller at a time waits for the end of the pause and dials; the others wait for
// the outcome, and a failure is theirs too.
type pause struct {
	// mu guards what follows. Nothing is called while it is held.
	mu       sync.Mutex
	failures int // failed dials since the newest that succeeded
	outcomes int // dials that told something about the server
	until    time.Time
	last     error
	probing  chan struct{} // closed when the caller whose turn it is has dialled; nil when it is nobody's
}

// backoff is the pause after n failures in a row: 10 ms, twice as long after each, at most a second. A random share of up to a half is taken
// off, so that many who lost the same server do not come back together.
func backoff(n int) time.Duration {
	const first, most = 10 * time.Millisecond, time.Second
	wait := most
	if n <= 7 {
		wait = min(first<<(n-1), most)
	}
	return wait - rand.N(wait/2) //nolint:gosec // spreads dials in time, keeps no secret
}

// turn waits until the caller may dial; done must be told how that ended. It is mine when others wait for the outcome. The error is
// that of the newest dial, for a caller who waited for it in vain.
func (p *pause) turn(ctx context.Context) (mine bool, err error) {
	for {
		p.mu.Lock()
		if p.failures == 0 {
			p.mu.Unlock()
			return false, nil
		}
		if p.probing == nil {
			p.probing = make(chan struct{})
			wait := time.Until(p.until)
			p.mu.Unlock()
			return p.sitOut(ctx, wait)
		}
		other, seen := p.probing, p.outcomes
		p.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return false, p.waited(ctx)
		}
		p.mu.Lock()
		failed, last := p.outcomes != seen && p.failures > 0, p.last
		p.mu.Unlock()
		if failed {
			return false, last
		}
	}
}

// sitOut waits for the end of the pause on behalf of all.
func (p *pause) sitOut(ctx context.Context, wait time.Duration) (mine bool, err error) {
	t := time.NewTimer(max(wait, 0))
	defer t.Stop()
	select {
	case <-t.C:
		return true, nil
	case <-ctx.Done():
		err = p.waited(ctx)
		p.mu.Lock()
		p.passLocked()
		p.mu.Unlock()
		return false, err
	}
}

// waited is the error of a caller whose time ended before its turn.
func (p *pause) waited(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("herz/herzsql: no dial, because the newest of %d failed ones was just now and the time ended before the next: %w",
		p.failures, errors.Join(ctx.Err(), p.last))
}

// passLocked gives the turn back and wakes those who wait for its outcome.
func (p *pause) passLocked() {
	close(p.probing)
	p.probing = nil
}

// done takes the outcome of a dial. The end of the caller's own context says nothing about the server: then it is none.
func (p *pause) done(ctx context.Context, mine bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.failures, p.last = 0, nil
		p.outcomes++
	case ctx.Err() == nil && (mine || time.Now().After(p.until)): // those that fail together are one failure
		p.failures++
		p.until, p.last = time.Now().Add(backoff(p.failures)), err
		p.outcomes++
	}
	if mine {
		p.passLocked()
	}
}
