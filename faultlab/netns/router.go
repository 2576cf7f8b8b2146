//go:build linux

package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
)

// MostBehind bounds how many namespaces stand behind one router.
const MostBehind = 8

// Router is a namespace between the host and those of servers: three networks, so that an address can lead elsewhere while
// client and server stay where they are.
type Router struct {
	own    *NS
	behind []*NS

	// mu guards mark and fronts, and is held while nft changes the rules that they stand for.
	mu     sync.Mutex
	mark   uint32
	fronts map[int]uint32 // of each port, the mark of its newest flows
}

// forwarding gives each new flow to an address of the router the mark of the rule that led it, so that the flows of one rule can be
// told from those of the next.
const forwarding = `table ip herz-router {
	map fronts { type inet_service : verdict; }
	set dead { type mark; }
	chain arriving {
		type nat hook prerouting priority -100; policy accept;
		ip daddr %s tcp dport vmap @fronts
	}
	chain passing {
		type filter hook forward priority 0; policy accept;
		ct mark @dead drop
	}
}
`

// OpenRouter makes a router with the given number of namespaces behind it, from 1 to [MostBehind]. The host reaches each of them
// by its own address, too, past everything that the router does to its own address.
func OpenRouter(servers int) (*Router, error) {
	if servers < 1 || servers > MostBehind {
		return nil, fmt.Errorf("netns: a router has 1 to %d namespaces behind it, not %d", MostBehind, servers)
	}
	own, err := Open()
	if err != nil {
		return nil, err
	}
	r := &Router{own: own, fronts: map[int]uint32{}}
	err = errors.Join(
		own.set("net/ipv4/ip_forward", "1"),
		// After a black hole the windows that the router remembers are old, and strictly it would no longer translate.
		own.set("net/netfilter/nf_conntrack_tcp_be_liberal", "1"),
		own.nft(fmt.Sprintf(forwarding, own.ip)),
	)
	for i := 0; err == nil && i < servers; i++ {
		err = r.add(i)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// add makes the namespace of one server.
func (r *Router) add(i int) error {
	n, err := create()
	if err != nil {
		return err
	}
	n.hostIP = r.own.hostIP
	net := n.subnet
	r.behind = append(r.behind, n)
	inner := fmt.Sprintf("s%d", i)
	if err := steps(
		[]string{"ip", "-n", r.own.name, "link", "add", inner, "type", "veth", "peer", "name", "eth0", "netns", n.name},
		[]string{"ip", "-n", r.own.name, "addr", "add", net.addr(1) + "/30", "dev", inner},
		[]string{"ip", "-n", r.own.name, "link", "set", inner, "up"},
		[]string{"ip", "-n", n.name, "addr", "add", n.ip + "/30", "dev", "eth0"},
		[]string{"ip", "-n", n.name, "link", "set", "eth0", "up"},
		[]string{"ip", "-n", n.name, "route", "add", "default", "via", net.addr(1)},
		[]string{"ip", "route", "add", net.addr(0) + "/30", "via", r.own.ip, "dev", link(r.own.name)},
	); err != nil {
		return fmt.Errorf("netns: behind the router: %w", err)
	}
	return nil
}

// Close removes the router and all that is behind it. It may be called twice.
func (r *Router) Close() error {
	var errs []error
	for _, n := range r.behind {
		errs = append(errs, n.Close())
	}
	return errors.Join(append(errs, r.own.Close())...)
}

// IP is the router's own address, whose ports [Router.Lead] gives a meaning.
func (r *Router) IP() string { return r.own.ip }

// Path is the router's own namespace, to drop packets on the way: all of them, or those of some clients.
func (r *Router) Path() *NS { return r.own }

// Behind is the namespace of a server, from 0.
func (r *Router) Behind(i int) *NS { return r.behind[i] }

// Lead makes new connections to a port of the router's address go to a server, or to several in turn. Those that are
// established stay where they are: see [Router.CutOld].
func (r *Router) Lead(port int, to ...netip.AddrPort) error {
	if len(to) == 0 || len(to) > MostBehind {
		return fmt.Errorf("netns: port %d must lead to 1 to %d servers, not %d", port, MostBehind, len(to))
	}
	targets := make([]string, len(to))
	for i, a := range to {
		targets[i] = fmt.Sprintf("%d : %s . %d", i, a.Addr(), a.Port())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	mark := r.mark + 1
	script := fmt.Sprintf(`add chain ip herz-router port%[1]d
flush chain ip herz-router port%[1]d
add rule ip herz-router port%[1]d ct mark set %[2]d meta l4proto tcp dnat ip to numgen inc mod %[3]d map { %[4]s }
add element ip herz-router fronts { %[1]d : goto port%[1]d }
`, port, mark, len(to), strings.Join(targets, ", "))
	if err := r.own.nft(script); err != nil {
		return fmt.Errorf("netns: lead port %d to %v: %w", port, to, err)
	}
	r.mark, r.fronts[port] = mark, mark
	return nil
}

// CutOld swallows, from now on and in both directions, the packets of all connections through the router that were led
// by an earlier [Router.Lead] than the newest of their port. Nobody is told. Connections past the router's address are not affected.
func (r *Router) CutOld() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	newest := map[uint32]bool{}
	for _, m := range r.fronts {
		newest[m] = true
	}
	var script strings.Builder
	for m := uint32(1); m <= r.mark; m++ {
		if !newest[m] {
			fmt.Fprintf(&script, "add element ip herz-router dead { %d }\n", m)
		}
	}
	if script.Len() == 0 {
		return nil
	}
	return r.own.nft(script.String())
}

// Heal lets all packets pass again that [Router.CutOld] swallowed.
func (r *Router) Heal() error { return r.own.nft("flush set ip herz-router dead\n") }
