package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Most bounds the connections that are open at once.
const Most = 1024

// dialTime bounds a dial to the server.
const dialTime = 5 * time.Second

// Proxy stands between clients and a server.
type Proxy struct {
	listener net.Listener
	target   atomic.Pointer[string]
	trap     atomic.Pointer[Sprung]
	paused   atomic.Pointer[pause]
	running  sync.WaitGroup

	// mu guards what follows. Nothing is waited for under it.
	mu     sync.Mutex
	flows  map[*flow]struct{}
	closed bool
	stats  Stats
}

// Stats counts connections.
type Stats struct {
	Accepted uint64 // connections of clients, ever
	Refused  uint64 // of these, closed at once: too many, or the server was not reached
	Open     int    // now
	Sent     uint64 // bytes from clients passed on
	Answered uint64 // bytes from the server passed on
}

// Listen starts a proxy for a server, on a free port of 127.0.0.1.
func Listen(to string) (*Proxy, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: listen: %w", err)
	}
	p := &Proxy{listener: ln, flows: map[*flow]struct{}{}}
	p.Lead(to)
	p.running.Go(p.accept)
	return p, nil
}

// Addr is where clients dial.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Lead makes new connections go to another server. Old ones stay where they are.
func (p *Proxy) Lead(to string) { p.target.Store(&to) }

// Stats gives the counts.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Open = len(p.flows)
	for f := range p.flows {
		s.Sent += f.sent.Load()
		s.Answered += f.answered.Load()
	}
	return s
}

// Pause stops to read from clients, so that their windows fill: they write to a peer that reads nothing, until [Proxy.Resume]. A Read that
// waits already may still get one buffer, which is not passed on before that either.
func (p *Proxy) Pause() { p.paused.CompareAndSwap(nil, &pause{over: make(chan struct{})}) }

// Resume goes on reading.
func (p *Proxy) Resume() {
	if was := p.paused.Swap(nil); was != nil {
		close(was.over)
	}
}

type pause struct{ over chan struct{} }

// CutAll ends all connections, for their clients in this way. It returns how many there were.
func (p *Proxy) CutAll(e End) int {
	p.mu.Lock()
	flows := make([]*flow, 0, len(p.flows))
	for f := range p.flows {
		flows = append(flows, f)
	}
	p.mu.Unlock()
	for _, f := range flows {
		f.end(e)
	}
	return len(flows)
}

// Close ends the proxy and all its connections, and waits for them. It may be called twice.
func (p *Proxy) Close() error {
	p.mu.Lock()
	again := p.closed
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	if s := p.trap.Swap(nil); s != nil {
		s.Release()
	}
	p.Resume()
	p.CutAll(FIN)
	p.running.Wait()
	if again && errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		if !p.admit() {
			_ = client.Close()
			continue
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) admit() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Accepted++
	if p.closed || len(p.flows) >= Most {
		p.stats.Refused++
		return false
	}
	return true
}

// serve dials the server and passes bytes both ways until the connection has ended.
func (p *Proxy) serve(client net.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", *p.target.Load())
	if err != nil {
		p.mu.Lock()
		p.stats.Refused++
		p.mu.Unlock()
		_ = client.Close() // last: whoever sees it closed finds it counted
		return
	}
	f := &flow{proxy: p, client: client, server: server, over: make(chan struct{})}
	if !p.enter(f) {
		f.end(FIN)
		return
	}
	var both sync.WaitGroup
	both.Go(f.forth)
	both.Go(f.back)
	both.Wait()
	p.leave(f)
}

func (p *Proxy) enter(f *flow) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.flows[f] = struct{}{}
	}
	return !p.closed
}

func (p *Proxy) leave(f *flow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.flows, f)
	p.stats.Sent += f.sent.Load()
	p.stats.Answered += f.answered.Load()
}
