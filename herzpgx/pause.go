package herzpgx

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// pause keeps a pgxpool from dialling a server that lets nobody in, such as one that is full, as often as callers come. pgx does not tell a
// hook that a connection failed; that none has succeeded since is seen all the same.
type pause struct {
	// mu guards what follows. Nothing is called while it is held.
	mu    sync.Mutex
	begun int           // attempts since the newest that succeeded
	let   chan struct{} // closed when one succeeds; nil when nobody waits
}

const (
	// freeAttempts begin at once, whatever became of those before: so many are under way together when a pool fills up.
	freeAttempts = 4
	// The pause before the next, twice as long after each, and the longest. A random share of up to a half is taken off.
	firstPause = 10 * time.Millisecond
	mostPause  = time.Second
)

// turn waits until the next attempt may begin.
func (p *pause) turn(ctx context.Context) error {
	until, let := p.begin()
	wait := time.NewTimer(time.Until(until))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-let:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin counts an attempt, and says when it may begin if none succeeds before.
func (p *pause) begin() (until time.Time, let <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun++
	now := time.Now()
	if p.begun <= freeAttempts {
		return now, nil
	}
	long := mostPause
	if n := p.begun - freeAttempts - 1; n < 7 {
		long = min(firstPause<<n, mostPause)
	}
	long -= rand.N(long / 2) //nolint:gosec // spreads dials in time, keeps no secret
	if p.let == nil {
		p.let = make(chan struct{})
	}
	return now.Add(long), p.let
}

// succeeded lets everybody go on.
func (p *pause) succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun = 0
	if p.let != nil {
		close(p.let)
		p.let = nil
	}
}
