package relay

// flow is what tells the packets of one connection from others: addresses, protocol and ports.
type flow [13]byte

// flowOf finds the flow of an IPv4 packet (RFC 791). Fragments behind the first have no ports, and are a flow of their own.
func flowOf(packet []byte) (flow, bool) {
	var f flow
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return f, false
	}
	header := int(packet[0]&15) * 4
	if header < 20 || len(packet) < header {
		return f, false
	}
	copy(f[:8], packet[12:20])
	protocol := packet[9]
	f[8] = protocol
	const tcp, udp = 6, 17
	first := packet[6]&0x1f == 0 && packet[7] == 0
	if (protocol == tcp || protocol == udp) && first && len(packet) >= header+4 {
		copy(f[9:], packet[header:header+4])
	}
	return f, true
}
