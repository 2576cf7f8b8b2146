//go:build linux

package netns

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// Flows counts, for each server, the connections through a port of the router's address that the router takes for established.
func (r *Router) Flows(port int) (map[netip.AddrPort]int, error) {
	var table []byte
	err := r.own.Do(func() (err error) {
		table, err = os.ReadFile("/proc/thread-self/net/nf_conntrack")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("netns: the router's connections: %w", err)
	}
	front := netip.AddrPortFrom(netip.MustParseAddr(r.own.ip), uint16(port)) //nolint:gosec // a port
	flows := map[netip.AddrPort]int{}
	for line := range strings.Lines(string(table)) {
		if to, server, ok := established(line); ok && to == front {
			flows[server]++
		}
	}
	return flows, nil
}

// established reads a line of nf_conntrack: the two directions of a flow stand in it one after the other, each as "src= dst= sport= dport=".
// The server is the source of the second.
func established(line string) (to, server netip.AddrPort, ok bool) {
	if !strings.Contains(line, " ESTABLISHED ") {
		return to, server, false
	}
	values := map[string][]string{}
	for _, f := range strings.Fields(line) {
		if name, value, has := strings.Cut(f, "="); has {
			values[name] = append(values[name], value)
		}
	}
	for _, name := range []string{"dst", "dport", "src", "sport"} {
		if len(values[name]) != 2 {
			return to, server, false
		}
	}
	to, err := netip.ParseAddrPort(values["dst"][0] + ":" + values["dport"][0])
	if err != nil {
		return to, server, false
	}
	server, err = netip.ParseAddrPort(values["src"][1] + ":" + values["sport"][1])
	return to, server, err == nil
}
