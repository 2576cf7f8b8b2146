package herzhttp

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"herz.example/herz/guard"
)

// spreader dials the address of a name to which the fewest connections of the host's pool lead, so that the servers behind one name are used alike. Other
// addresses are tried when that fails, those of the other family later, and those that could not be dialled a short while ago last.
type spreader struct {
	guard guard.Options
	net   *net.Resolver
}

type errandContextKey struct{}

// errand is what a dial below net/http is for.
type errand struct {
	host *host
	link atomic.Pointer[link] // what came of it; nil: nothing yet

	spoken atomic.Int32 // writes on the connection before those of HTTP; negative: it is not known
}

// heard notes how much has been said on the connection g; nil: it is not known which one it is.
func (e *errand) heard(g *guard.Conn) {
	n := -1
	if g != nil {
		n = g.EarlyWrites()
	}
	e.spoken.Store(int32(n)) //nolint:gosec // 8 at the most
}

// awaited reports whether a request waits on the connection: over HTTP/2 the bytes do not tell.
func (e *errand) awaited() bool {
	l := e.link.Load()
	return l == nil || l.live.Load() > 0
}

func withErrand(ctx context.Context, e *errand) context.Context {
	return context.WithValue(ctx, errandContextKey{}, e)
}

// optionsFor are the options of the guard of a connection that is dialled under ctx.
func optionsFor(ctx context.Context, o guard.Options) guard.Options {
	if e, ok := ctx.Value(errandContextKey{}).(*errand); ok && o.Awaited == nil {
		o.Awaited = e.awaited
	}
	return o
}

func newSpreader(o guard.Options) *spreader {
	s := &spreader{guard: o, net: o.Resolver}
	if s.net == nil {
		s.net = net.DefaultResolver
	}
	return s
}

// dial is a DialContext.
func (s *spreader) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := &guard.Dialer{Options: optionsFor(ctx, s.guard)}
	name, port, err := net.SplitHostPort(addr)
	e, known := ctx.Value(errandContextKey{}).(*errand)
	if _, ip := netip.ParseAddr(name); err != nil || ip == nil || !known || network != "tcp" {
		return dialer.DialContext(ctx, network, addr)
	}
	found, err := s.net.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	list := e.host.ailing.last(inOrder(found, e.host.connections()))
	var errs []error
	for i, a := range list {
		nc, err := s.one(ctx, dialer, net.JoinHostPort(a.String(), port), len(list)-i)
		if !errors.Is(ctx.Err(), context.Canceled) { // else nobody waited for it
			e.host.ailing.note(a, err == nil)
		}
		if err == nil {
			if g, ok := guard.From(nc); ok {
				g.SetResolvedName(addr)
			}
			return nc, nil
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// one tries one address, for its share of the time that is left.
func (s *spreader) one(ctx context.Context, d *guard.Dialer, addr string, left int) (net.Conn, error) {
	if until, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, share(time.Until(until), left))
		defer cancel()
	}
	return d.DialContext(ctx, "tcp", addr)
}

// shareLeast is a round trip around the world: with less, no address of many on a long path could be dialled, though each of them answers.
const shareLeast = 300 * time.Millisecond

// share is how much of rest is given to one of so many addresses that are left: the same to each, but not less than a handshake takes while there is as much
// again for the others.
func share(rest time.Duration, left int) time.Duration {
	return max(rest/time.Duration(left), min(rest/2, shareLeast))
}

// connections are how many connections of the pool lead to each address.
func (h *host) connections() map[netip.Addr]int {
	<-h.made
	count := map[netip.Addr]int{}
	for _, c := range h.pool.Snapshot() {
		if at, err := netip.ParseAddrPort(c.Peer); err == nil {
			count[at.Addr().Unmap()]++
		}
	}
	return count
}

// inOrder sorts addresses for a dial. The family that the resolver has in front (RFC 6724) stays there; within it the address with the fewest connections is
// first, and chance decides between equals, so that many clients do not all begin at the same one.
func inOrder(found []netip.Addr, count map[netip.Addr]int) []netip.Addr {
	var first, other []netip.Addr
	for _, a := range found {
		a = a.Unmap()
		if len(first) == 0 || a.Is4() == first[0].Is4() {
			first = append(first, a)
		} else {
			other = append(other, a)
		}
	}
	for _, family := range [][]netip.Addr{first, other} {
		rand.Shuffle(len(family), func(i, j int) { family[i], family[j] = family[j], family[i] })
		slices.SortStableFunc(family, func(a, b netip.Addr) int { return cmp.Compare(count[a], count[b]) })
	}
	return append(first, other...)
}
