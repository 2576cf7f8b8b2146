//go:build linux

package netns

import (
	"fmt"
	"net"
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
	out, err := n.sockets("established", port)
	if err != nil {
		return nil, err
	}
	var ports []int
	for line := range strings.Lines(out) {
		fields := strings.Fields(line) // received, sent, local, peer
		if len(fields) < 4 {
			continue
		}
		_, p, err := net.SplitHostPort(fields[3])
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

// sockets lists the sockets of a server port that are in a state, a line each.
func (n *NS) sockets(state string, port int) (string, error) {
	out, err := run("ip", "netns", "exec", n.name, "ss", "-H", "-t", "-n", "state", state, "sport", "=", strconv.Itoa(port))
	if err != nil {
		return "", fmt.Errorf("netns: ss: %w: %s", err, out)
	}
	return out, nil
}

// forgetTime bounds Forget: an orphan is given up after its second time-out, the first of which is at most a few hundred milliseconds.
const forgetTime = 10 * time.Second

// Forget waits until the kernel has given up the connections of a server port whose owner closed them or died while nothing passed:
// no FIN is left to be sent when the path heals, just as a host that lost its power sends none. What the clients hold is half-open then.
func (n *NS) Forget(port int) error {
	if err := n.set("net/ipv4/tcp_orphan_retries", "1"); err != nil {
		return err
	}
	for end := time.Now().Add(forgetTime); ; time.Sleep(20 * time.Millisecond) {
		left, err := n.sockets("fin-wait-1", port)
		if err != nil || left == "" {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("netns: the kernel still remembers connections of port %d after %v: %s", port, forgetTime, left)
		}
	}
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
	return n.nft("flush set inet herz lost\nflush set inet herz closed\nflush set inet herz severed\n")
}
