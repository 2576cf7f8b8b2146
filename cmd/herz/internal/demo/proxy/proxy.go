package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// ErrRefused is what every error is that tells that this system, or this user, cannot have a fault.
var ErrRefused = errors.New("the kernel refuses it")

// Proxy passes connections on to one server.
type Proxy struct {
	target   string
	listener *net.TCPListener
	ended    sync.WaitGroup
	cancel   context.CancelFunc

	// mu guards the fields below. System calls on sockets that do not block happen under it, nothing else.
	mu      sync.Mutex
	flows   map[*flow]struct{}
	told    map[string]time.Time // by the client's address
	over    chan struct{}        // not nil: there is an outage; closed when it is over
	held    chan struct{}        // not nil: the server stands still; closed when it goes on
	swallow float64              // share of answers that are lost
	reset   bool                 // the next lost answer ends in a RST and not in a FIN
	random  *rand.Rand
	closing bool
}

// Listen starts a proxy on a free port of loopback in front of target. The seed decides which answers get lost.
func Listen(ctx context.Context, target string, seed uint64) (*Proxy, error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false) // Go's listeners are MPTCP sockets by default, and those refuse socket filters
	l, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a proxy for %s: %w", target, err)
	}
	p := &Proxy{
		target:   target,
		listener: l.(*net.TCPListener),
		flows:    map[*flow]struct{}{},
		told:     map[string]time.Time{},
		random:   rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // repeatable on purpose
	}
	stop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	p.ended.Add(1)
	go p.accept(stop)
	return p, nil
}

// Addr is where clients dial.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Told gives the time when the end of the connection from the client's address left for the client as a FIN or a RST.
func (p *Proxy) Told(client string) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.told[client]
	return at, ok
}

// Open is the number of connections that clients hold.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.flows)
}

// Close ends all connections and waits until nothing is left.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	p.cancel()
	err := p.listener.Close()
	p.Thaw()
	p.Restore()
	p.each(func(f *flow) { f.end(reset) })
	p.ended.Wait()
	return err
}

func (p *Proxy) accept(stop context.Context) {
	defer p.ended.Done()
	for {
		nc, err := p.listener.AcceptTCP()
		if err != nil {
			if stop.Err() != nil {
				return
			}
			// The process has no descriptor left, or the client left in the queue: the next one may work.
			t := time.NewTimer(10 * time.Millisecond)
			select {
			case <-t.C:
			case <-stop.Done():
			}
			t.Stop()
			continue
		}
		p.serve(stop, nc)
	}
}

func (p *Proxy) serve(stop context.Context, nc *net.TCPConn) {
	f := newFlow(p, nc)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		_ = nc.Close()
		return
	}
	delete(p.told, f.client)
	// A socket inherits the filter of its listener, which may have changed since.
	_ = drop(nc, p.over != nil)
	p.flows[f] = struct{}{}
	p.ended.Add(1)
	go f.run(stop)
}

func (p *Proxy) each(do func(*flow)) {
	p.mu.Lock()
	all := make([]*flow, 0, len(p.flows))
	for f := range p.flows {
		all = append(all, f)
	}
	p.mu.Unlock()
	for _, f := range all {
		do(f)
	}
}

// forget takes a flow that has ended from the list.
func (p *Proxy) forget(f *flow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.flows, f)
}

// tell notes that the client was told of the end of its connection.
func (p *Proxy) tell(f *flow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, before := p.told[f.client]; !before {
		p.told[f.client] = time.Now()
	}
}
