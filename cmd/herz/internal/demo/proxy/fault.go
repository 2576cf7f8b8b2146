package proxy

import (
	"fmt"
	"time"
)

// Outage drops every packet of every client, new ones too, until [Proxy.Restore].
func (p *Proxy) Outage() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over != nil {
		return nil
	}
	if err := drop(p.listener, true); err != nil {
		return err
	}
	p.over = make(chan struct{})
	for f := range p.flows {
		_ = drop(f.down, true)
	}
	return nil
}

// Restore ends an outage. Packets that were lost are sent again when their sender's time comes.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over == nil {
		return
	}
	_ = drop(p.listener, false)
	for f := range p.flows {
		if !f.holed.Load() {
			_ = drop(f.down, false)
		}
	}
	close(p.over)
	p.over = nil
}

// BlackHole drops every packet of the connections that are open now, without a word, until [Proxy.Fill]. New ones work.
// It returns how many there are.
func (p *Proxy) BlackHole() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for f := range p.flows {
		f.holed.Store(true)
		if err := drop(f.down, true); err != nil {
			f.holed.Store(false)
			if n == 0 {
				return 0, err
			}
			continue
		}
		n++
	}
	return n, nil
}

// Fill forgets the connections that are in the black hole: whoever still sends on one gets a RST.
func (p *Proxy) Fill() {
	p.each(func(f *flow) {
		if f.holed.Load() {
			f.end(silent)
		}
	})
}

// CanForget tells, by trying on a socket of its own, whether [Proxy.Forget] works.
func (p *Proxy) CanForget() error { return canBeSilent() }

// Forget ends all connections without telling the clients, as a server does that lost power: their next packet gets a RST.
// It returns how many there were.
func (p *Proxy) Forget() (int, error) {
	if err := canBeSilent(); err != nil {
		return 0, err
	}
	n := 0
	p.each(func(f *flow) {
		f.end(silent)
		n++
	})
	return n, nil
}

// Freeze makes the server stand still: it accepts and acknowledges, but does and says nothing, until [Proxy.Thaw]. Then it does all
// it was asked for.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = make(chan struct{})
	}
}

// Thaw ends a freeze.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}

// CloseIdle closes, with a FIN, the connections on which nothing came or went for the given time, as servers do. It returns how many.
func (p *Proxy) CloseIdle(idle time.Duration) int {
	limit, n := time.Now().Add(-idle).UnixNano(), 0
	p.each(func(f *flow) {
		if f.last.Load() < limit && !f.holed.Load() {
			f.end(finish)
			n++
		}
	})
	return n
}

// LoseAnswers makes the given share of answers get lost, from 0 to 1: the request is executed, and then the connection ends,
// with a FIN and with a RST by turns.
func (p *Proxy) LoseAnswers(share float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow = share
}

// loses decides whether an answer is lost, and how its connection ends.
func (p *Proxy) loses() (ending, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.swallow <= 0 || p.random.Float64() >= p.swallow {
		return finish, false
	}
	p.reset = !p.reset
	if p.reset {
		return reset, true
	}
	return finish, true
}

func (p *Proxy) standing() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

func (p *Proxy) down() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

func refused(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, ErrRefused, err)
}
