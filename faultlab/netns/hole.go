//go:build linux

package netns

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// table drops what goes to or comes from the clients' ports in the set lost, and the servers' ports in the set closed, and
// everything when the set severed has the protocol. Nothing is answered: no RST, no ICMP. What stays inside the namespace passes.
const table = `table inet herz {
	set lost { type inet_service; }
	set closed { type inet_service; }
	set severed { type inet_proto; }
	chain arriving {
		type filter hook prerouting priority -300; policy accept;
		iif lo accept
		tcp sport @lost drop
		tcp dport @closed drop
		meta l4proto @severed drop
	}
	chain leaving {
		type filter hook postrouting priority 300; policy accept;
		oif lo accept
		tcp dport @lost drop
		tcp sport @closed drop
		meta l4proto @severed drop
	}
}
`

func (n *NS) nft(script string) error {
	if out, err := runWith(script, "ip", "netns", "exec", n.name, "nft", "-f", "-"); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}

// Flows gives the clients' ports of the connections that are established with a server port inside the namespace.
func (n *NS) Flows(port int) ([]int, error) {
	return n.peers(port, "state", "established")
}

// peers gives the clients' ports of the sockets of a server port that are in some states, in the words of ss(8).
func (n *NS) peers(port int, states ...string) ([]int, error) {
	args := append([]string{"ip", "netns", "exec", n.name, "ss", "-H", "-O", "-t", "-n"}, states...)
	out, err := run(append(args, "sport", "=", strconv.Itoa(port))...)
	if err != nil {
		return nil, fmt.Errorf("netns: ss: %w: %s", err, out)
	}
	var ports []int
	for line := range strings.Lines(out) {
		fields := strings.Fields(line) // perhaps the state, then received, sent, local, peer
		at := slices.IndexFunc(fields, func(f string) bool { return strings.HasSuffix(f, ":"+strconv.Itoa(port)) })
		if at < 0 || at+1 >= len(fields) {
			continue
		}
		_, p, err := net.SplitHostPort(fields[at+1])
		if err != nil {
			return nil, fmt.Errorf("netns: ss: %q: %w", line, err)
		}
		client, err := strconv.Atoi(p)
		if err != nil {
			return nil, fmt.Errorf("netns: ss: %q: %w", line, err)
		}
		ports = append(ports, client)
	}
	return ports, nil
}

// forgetTime bounds Forget: an orphan is given up after its second time-out, the first of which is at most a few hundred milliseconds.
const forgetTime = 10 * time.Second

// Forget waits until the kernel has given up the connections of a server port that fell into the hole, and whose owner closed them or died since:
// no FIN is left to be sent when the path heals, just as a host that lost its power sends none. What the clients hold is half-open then.
func (n *NS) Forget(port int) error {
	if err := n.set("net/ipv4/tcp_orphan_retries", "1"); err != nil {
		return err
	}
	for end := time.Now().Add(forgetTime); ; time.Sleep(20 * time.Millisecond) {
		// Some are closed a little after the end of their process, and are established until then.
		open, err := n.peers(port, "state", "connected", "exclude", "time-wait")
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(open, func(client int) bool { return !n.fell(client) })
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("netns: the kernel still remembers %d connections of port %d after %v", len(left), port, forgetTime)
		}
	}
}

// fell reports whether the packets of a client's port are swallowed.
func (n *NS) fell(client int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.lost, client)
}

// BlackHole swallows, from now on and in both directions, the packets of every connection that is established with a server
// port. Connections dialled later are not affected. It returns how many connections fell in.
func (n *NS) BlackHole(port int) (int, error) {
	ports, err := n.Flows(port)
	if err != nil {
		return 0, err
	}
	return len(ports), n.Drop(ports...)
}

// Drop swallows, from now on and in both directions, the packets of the connections that come from these ports of clients.
func (n *NS) Drop(clients ...int) error {
	if len(clients) == 0 {
		return nil
	}
	text := make([]string, len(clients))
	for i, p := range clients {
		text[i] = strconv.Itoa(p)
	}
	n.mu.Lock()
	n.lost = append(n.lost, clients...)
	n.mu.Unlock()
	return n.nft(fmt.Sprintf("add element inet herz lost { %s }\n", strings.Join(text, ", ")))
}

// Vanish swallows, from now on and in both directions, all packets of a server port, those of new connections too.
func (n *NS) Vanish(port int) error {
	return n.nft(fmt.Sprintf("add element inet herz closed { %d }\n", port))
}

// Sever swallows, from now on and in both directions, all packets between the namespace and the rest of the world.
func (n *NS) Sever() error {
	return n.nft("add element inet herz severed { tcp, udp, icmp }\n")
}

// Heal lets all packets pass again.
func (n *NS) Heal() error {
	n.mu.Lock()
	n.lost = nil
	n.mu.Unlock()
	return n.nft("flush set inet herz lost\nflush set inet herz closed\nflush set inet herz severed\n")
}
