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
	line chan struct{} // holds who pauses, one at a time, however many connections the pool may have

	// mu guards what follows. Nothing is called while it is held.
	mu    sync.Mutex
	begun int           // attempts since the newest that succeeded
	let   chan struct{} // closed when one succeeds; nil when nobody waits
}

func newPause() *pause { return &pause{line: make(chan struct{}, 1)} }

const (
	// freeAttempts begin at once, whatever became of those before: so many are under way together when a pool fills up.
	freeAttempts = 4
	// The pause before the next, twice as long after each, and the longest. A random share of up to a half is taken off.
	firstPause = 10 * time.Millisecond
	mostPause  = time.Second
)

// turn waits until the next attempt may begin, for mostPause at most: what follows is a dial, and both fit into one budget of the caller.
func (p *pause) turn(ctx context.Context) error {
	let := p.begin()
	if let == nil {
		return nil
	}
	end := time.Now().Add(mostPause)
	limit := time.NewTimer(mostPause)
	defer limit.Stop()
	select {
	case p.line <- struct{}{}:
	case <-limit.C:
		return &crowdedError{}
	case <-let:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.line }()
	long := p.next()
	if time.Until(end) < long-clockSkew {
		return &crowdedError{}
	}
	wait := time.NewTimer(long)
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

// clockSkew is what passes between two looks at the clock.
const clockSkew = 5 * time.Millisecond

// crowdedError is that of a caller who did not come to dial.
type crowdedError struct{}

// Error says why nothing was dialled.
func (*crowdedError) Error() string {
	return "herz/herzpgx: not dialled: no attempt to connect has succeeded of late, and others are to try first; see what they were told"
}

// SafeToRetry reports true: nothing was sent.
func (*crowdedError) SafeToRetry() bool { return true }

// begin lets an attempt go on at once, or gives what is closed when one succeeds.
func (p *pause) begin() (let <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun < freeAttempts {
		p.begun++
		return nil
	}
	if p.let == nil {
		p.let = make(chan struct{})
	}
	return p.let
}

// next counts an attempt, and gives the pause before it.
func (p *pause) next() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun++
	long := mostPause
	if n := max(p.begun-freeAttempts-1, 0); n < 7 {
		long = min(firstPause<<n, mostPause)
	}
	return long - rand.N(long/2) //nolint:gosec // spreads dials in time, keeps no secret
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
