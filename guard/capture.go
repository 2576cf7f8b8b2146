package guard

import (
	"context"
	"net"
	"slices"
	"sync"
)

// Capture collects the guarded connections that are made under one context, so that a pool finds the socket under a
// connection it cannot look into. The zero value is ready.
type Capture struct {
	// mu guards conns. Nothing is called under it.
	mu    sync.Mutex
	conns []*Conn
}

type captureKey struct{}

// WithCapture gives a context under which every guarded dial reports to the returned Capture.
func WithCapture(ctx context.Context) (context.Context, *Capture) {
	c := new(Capture)
	return context.WithValue(ctx, captureKey{}, c), c
}

// Conn is the one connection that was made under the context and is not closed yet. It is nil when there is none, or more
// than one: then it is not known which of them serves.
func (c *Capture) Conn() *Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	var open *Conn
	for _, g := range c.conns {
		if g.state.Load() != stateOpen {
			continue
		}
		if open != nil {
			return nil
		}
		open = g
	}
	return open
}

func (c *Capture) add(g *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.conns, g) { // who guards twice gets the same one
		c.conns = append(c.conns, g)
	}
}

// WrapContext is Wrap for those who dial by themselves: the connection is reported to the Capture of ctx, if there is one.
func WrapContext(ctx context.Context, nc net.Conn, o Options) *Conn {
	g := Wrap(nc, o)
	if c, ok := ctx.Value(captureKey{}).(*Capture); ok {
		c.add(g)
	}
	return g
}
