package herzhttp

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// host is one address with its pool.
type host struct {
	of      *Transport
	scheme  string
	address string // with port
	http1   bool   // HTTP/2 is not offered
	fence   fence
	width   width
	ailing  ailing
	lastUse atomic.Int64 // by clock
	left    atomic.Bool  // the transport has forgotten it: whoever finds it still asks for another one

	once  sync.Once // makes what follows
	pool  *pool.Pool[*link]
	err   error
	leave func()        // what Config.Enroll gave; nil: nothing
	ready atomic.Bool   // pool is there
	made  chan struct{} // closed when that is decided; a pool with MinIdle dials before pool.New has returned
}

// open makes the host's pool, if that has not been done. It calls functions of the Config, and so holds no lock but that of its once.
func (h *host) open() error {
	h.once.Do(func() {
		if h.pool, h.err = h.newPool(); h.err == nil {
			if h.of.cfg.Enroll != nil {
				if leave := h.of.cfg.Enroll(h.pool); leave != nil {
					h.leave = sync.OnceFunc(leave)
				}
			}
			h.ready.Store(true)
		}
		close(h.made)
	})
	return h.err
}

// base is what dials.
func (h *host) base() *http.Transport {
	if h.http1 {
		return h.of.baseHTTP1
	}
	return h.of.base
}

// named is the host as a URL names it: without the port that its scheme has anyway.
func (h *host) named() string {
	if h.scheme == "http" {
		return strings.TrimSuffix(h.address, ":80")
	}
	return strings.TrimSuffix(h.address, ":443")
}

// gone is called when the pool has been closed.
func (h *host) gone() {
	if h.leave != nil {
		h.leave()
	}
}

func (h *host) newPool() (*pool.Pool[*link], error) {
	t, scheme, address := h.of, h.scheme, h.address
	name := address
	if h.http1 {
		name += " (HTTP/1.1)"
	}
	if t.cfg.Name != "" {
		name = t.cfg.Name + "/" + name
	}
	limits := t.cfg.Limits
	if t.cfg.HostLimits != nil {
		if own, ok := t.cfg.HostLimits(address); ok {
			limits = limitsOf(own)
		}
	}
	cfg := pool.Config[*link]{
		Name: name, Protocol: "http", Limits: limits,
		Dial:     h.dial,
		Close:    func(_ context.Context, l *link) error { return l.cc.Close() },
		Ping:     ping,
		Guard:    func(l *link) *guard.Conn { return l.guard },
		Observer: pool.Tee(h, t.cfg.Observer),
	}
	if t.speaksHTTP2(scheme) && !h.http1 {
		cfg.Shares = (*link).shares
	}
	p, err := pool.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("herz/herzhttp: %s: %w", address, err)
	}
	return p, nil
}

// ping asks for a sign of life. Without it the pool aborts what is guarded, so that other requests on the connection end.
func ping(ctx context.Context, l *link) error {
	err := l.answer(ctx)
	if err != nil && l.guard == nil {
		_ = l.cc.Close()
	}
	return err
}

// WantsLoans reports false.
func (h *host) WantsLoans() bool { return false }

// Observe counts the pool's connections, and learns from their ends.
func (h *host) Observe(e pool.Event) {
	switch {
	case e.Kind == pool.ConnectionReady:
		h.of.open.Add(1)
	case e.Kind == pool.ConnectionClosed && e.Death != nil: // else it is a dial that failed
		h.of.open.Add(-1)
		h.fence.learn(e.Death, e.Uses)
	case e.Kind == pool.Leaked && !e.Held: // nobody ends the request of a body that nobody has
		h.of.busy.Add(-1)
	case e.Kind == pool.LimitsChanged: // what MinIdle asks for no longer would hide that too many rest
		h.of.reckon()
	}
}

// expiredError is why a connection is given up that rested for almost as long as the peer keeps connections.
type expiredError struct{ idle, limit time.Duration }

func (e *expiredError) Error() string {
	return fmt.Sprintf("it rested for %v, and past %v the peer may be closing it", e.idle.Round(time.Millisecond), e.limit.Round(time.Millisecond))
}

// Cause is conn.MaxIdle.
func (e *expiredError) Cause() conn.Cause { return conn.MaxIdle }

// borrow gives a connection that may carry a request.
func (h *host) borrow(ctx context.Context) (pool.Lease[*link], *link, error) {
	for {
		lease, err := h.pool.Acquire(ctx)
		if err != nil {
			return lease, nil, err
		}
		l := lease.Value()
		if l.stale() {
			lease.Discard(l.cc.Err())
			continue
		}
		if limit := leastOf(h.fence.limit(), time.Duration(l.keeps.Load())); limit > 0 && l.live.Load() == 0 && l.used() {
			if idle := l.idle(); idle >= limit {
				lease.Discard(&expiredError{idle, limit})
				continue
			}
		}
		l.enter()
		return lease, l, nil
	}
}

// unused reports whether the host can be forgotten: it has no connection, and nobody has asked for one for a while.
func (h *host) unused(now int64) bool {
	if now-h.lastUse.Load() < int64(forgetAfter) || !h.ready.Load() {
		return false
	}
	s := h.pool.Stats()
	return s.Open == 0 && s.Dialing == 0 && s.Waiting == 0 && h.pool.Limits().MinIdle == 0
}

// lastUseError is why a connection ends, as planned, with the answer that it carried: it is counted as conn.MaxUses.
type lastUseError struct{ why string }

func (g *lastUseError) Error() string { return g.why }

// Cause is conn.MaxUses.
func (g *lastUseError) Cause() conn.Cause { return conn.MaxUses }

// goodbyeError is why a connection is left that takes no more requests: it is counted as conn.GoAway.
type goodbyeError struct{ why string }

func (g *goodbyeError) Error() string { return g.why }

// Cause is conn.GoAway.
func (g *goodbyeError) Cause() conn.Cause { return conn.GoAway }

var (
	errGoodbye   = &goodbyeError{"the server said that it takes no more requests on it (GOAWAY, RFC 9113 6.8)"}
	errLastUse   = &lastUseError{"the server or the request said Connection: close"}
	errUpgraded  = &lastUseError{"it was upgraded to another protocol, and its user is done with it"}
	errAbandoned = &lastUseError{"the body of the answer was closed before its end, and the rest was too much to read"}
)
