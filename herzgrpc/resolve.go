package herzgrpc

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/resolver"
)

// ageKey is under which an address says how many ages it has been known for. An address whose attributes differ is another one to gRPC: its
// balancers open a connection for the new one, and close that of the old one when its last call has ended.
type ageKey struct{}

// resolvers are those of the schemes that ages and proxies work with.
func (ch *channel) resolvers() []resolver.Builder {
	var list []resolver.Builder
	seen := map[string]bool{}
	for _, b := range append(slices.Clone(ch.client.config.Resolvers), resolver.Get("dns"), resolver.Get("passthrough")) {
		if b == nil || seen[b.Scheme()] {
			continue
		}
		seen[b.Scheme()] = true
		own := builder{b, ch}
		if a, ok := b.(resolver.AuthorityOverrider); ok {
			list = append(list, struct {
				builder
				resolver.AuthorityOverrider
			}{own, a})
			continue
		}
		list = append(list, own)
	}
	return list
}

// builder makes resolvers that mark addresses.
type builder struct {
	resolver.Builder

	channel *channel
}

// Build is that of the builder underneath; where neither an age nor a proxy matters, nothing stands between.
func (b builder) Build(target resolver.Target, cc resolver.ClientConn, o resolver.BuildOptions) (resolver.Resolver, error) {
	endpoint := target.Endpoint()
	if b.Scheme() == "dns" {
		endpoint = withPort(endpoint)
	}
	proxy, err := b.channel.client.proxyOf(endpoint)
	if err != nil {
		return nil, err
	}
	age := b.channel.client.config.MaxConnectionAge
	if proxy == "" && age == 0 {
		return b.Builder.Build(target, cc, o)
	}
	m := &marker{ClientConn: cc, channel: b.channel, proxy: proxy, age: age}
	if proxy != "" && b.Scheme() == "dns" {
		// The proxy resolves names, as with gRPC's own dialer.
		a := []resolver.Address{{Addr: endpoint}}
		_ = m.UpdateState(resolver.State{Addresses: a, Endpoints: []resolver.Endpoint{{Addresses: a}}}) // to try again would change nothing
		return fixed{m}, nil
	}
	m.inner, err = b.Builder.Build(target, m, o)
	if err != nil {
		m.end()
		return nil, err
	}
	return m, nil
}

// fixed is the resolver of one address that does not change.
type fixed struct{ *marker }

func (fixed) ResolveNow(resolver.ResolveNowOptions) {}

func (f fixed) Close() { f.end() }

// marker stands between a resolver and its channel.
type marker struct {
	resolver.ClientConn

	inner   resolver.Resolver
	channel *channel
	proxy   string        // empty: none
	age     time.Duration // 0: none
	closed  atomic.Bool
	timer   atomic.Pointer[time.Timer] // of the next turn; nil: none yet
	late    atomic.Int32               // how often that was put off

	// mu guards what follows, and the order in which states reach the channel: gRPC's UpdateState is called under it. That calls nobody who
	// takes it: gRPC calls ResolveNow and Close from elsewhere, and they do without.
	mu    sync.Mutex
	state *resolver.State // the newest; nil: none yet
	known map[string]life // of the addresses of the newest state
}

// life is how long an address is known.
type life struct {
	from time.Time
	ages int64
}

func (m *marker) ResolveNow(o resolver.ResolveNowOptions) { m.inner.ResolveNow(o) }

func (m *marker) Close() {
	m.inner.Close()
	m.end()
}

// end stops the turning. It takes no lock.
func (m *marker) end() {
	m.closed.Store(true)
	if t := m.timer.Load(); t != nil {
		t.Stop()
	}
}

// UpdateState passes a state on, marked.
func (m *marker) UpdateState(s resolver.State) error {
	if m.proxy != "" {
		s = each(s, m.route)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = &s
	return m.pass(time.Now(), false)
}

// turn is called when an address has reached the next age.
func (m *marker) turn() {
	late := m.late.Load()
	open, all := m.channel.shut(approachMost << late)
	defer open()
	if !all && late < turnTries {
		m.late.Add(1)
		m.wait(turnPause)
		return
	}
	m.late.Store(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state != nil && !m.closed.Load() {
		_ = m.pass(time.Now(), true) // a resolver would resolve again, but nothing was resolved
	}
}

// pass marks the newest state and gives it to the channel. Only in a turn does an address reach its next age: calls wait then. The caller holds mu.
func (m *marker) pass(now time.Time, turning bool) error {
	if m.age == 0 {
		return m.ClientConn.UpdateState(*m.state)
	}
	before, next := m.known, m.age
	m.known = map[string]life{}
	s := each(*m.state, func(a resolver.Address) resolver.Address {
		a, left := m.mark(a, before, now, turning)
		next = min(next, left)
		return a
	})
	m.wait(next)
	return m.ClientConn.UpdateState(s)
}

// each changes the addresses of a state.
func each(s resolver.State, change func(resolver.Address) resolver.Address) resolver.State {
	all := func(list []resolver.Address) []resolver.Address {
		list = slices.Clone(list)
		for i := range list {
			list[i] = change(list[i])
		}
		return list
	}
	s.Addresses = all(s.Addresses)
	s.Endpoints = slices.Clone(s.Endpoints)
	for i := range s.Endpoints {
		s.Endpoints[i].Addresses = all(s.Endpoints[i].Addresses)
	}
	return s
}

// route says of an address by which proxy it is reached. What a name leads to may be nothing for the proxy of the name: a socket of this machine, or an address
// for which there is none. It asks the application, so that mu is not held.
func (m *marker) route(a resolver.Address) resolver.Address {
	if network, _ := split(a.Addr); network != "tcp" {
		return a
	}
	if own, err := m.channel.client.proxyOf(a.Addr); err != nil || own == "" {
		return a
	}
	return viaProxy(a, m.proxy)
}

// wait has turn called in a while.
func (m *marker) wait(next time.Duration) {
	if old := m.timer.Swap(time.AfterFunc(next, m.turn)); old != nil {
		old.Stop()
	}
	if m.closed.Load() { // it may have looked for the timer before this one was there
		m.end()
	}
}

// mark says of an address which age it is in, and how long that will last.
func (m *marker) mark(a resolver.Address, before map[string]life, now time.Time, turning bool) (resolver.Address, time.Duration) {
	l, twice := m.known[a.Addr] // an address can stand among Addresses and among Endpoints
	if !twice {
		l = m.live(before, a.Addr, now, turning)
		m.known[a.Addr] = l
	}
	a.Attributes = a.Attributes.WithValue(ageKey{}, l.ages)
	return a, l.from.Add(time.Duration(l.ages+1) * m.age).Sub(now)
}

// live is the life of an address as it is now.
func (m *marker) live(before map[string]life, addr string, now time.Time, turning bool) life {
	l, ok := before[addr]
	if !ok {
		// As if it had been known for a while, so that addresses, and clients, do not turn at the same time.
		return life{from: now.Add(-rand.N(m.age / 2))} //nolint:gosec // jitter, and no secret
	}
	if ages := int64(now.Sub(l.from) / m.age); turning && ages > l.ages {
		l.ages = ages
		m.channel.client.rotations.Add(1)
	}
	return l
}
