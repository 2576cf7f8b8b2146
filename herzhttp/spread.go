package herzhttp

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"herz.example/herz/guard"
)

// spreader dials the address of a name to which the fewest connections of the host's pool lead, so that the servers behind one name are used alike. Other
// addresses are tried when that fails, those of the other family last.
type spreader struct {
	guard guard.Options
	net   *net.Resolver
}

type hostContextKey struct{}

// withHost tells a dial below net/http for which host it is.
func withHost(ctx context.Context, h *host) context.Context {
	return context.WithValue(ctx, hostContextKey{}, h)
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
	dialer := &guard.Dialer{Options: s.guard}
	name, port, err := net.SplitHostPort(addr)
	h, known := ctx.Value(hostContextKey{}).(*host)
	if _, ip := netip.ParseAddr(name); err != nil || ip == nil || !known || network != "tcp" {
		return dialer.DialContext(ctx, network, addr)
	}
	found, err := s.net.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, err
	}
	list := inOrder(found, h.connections())
	var errs []error
	for i, a := range list {
		nc, err := s.one(ctx, dialer, net.JoinHostPort(a.String(), port), len(list)-i)
		if err == nil {
			if g, ok := guard.From(nc); ok {
				g.SetName(addr)
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
		ctx, cancel = context.WithTimeout(ctx, time.Until(until)/time.Duration(left))
		defer cancel()
	}
	return d.DialContext(ctx, "tcp", addr)
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
