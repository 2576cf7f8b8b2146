package guard

import (
	"net/netip"
	"slices"
)

// answersKept bounds the addresses that are remembered of one name.
const answersKept = 256

// answers is what one host name has led to, resolution after resolution.
type answers struct {
	newest []netip.Addr // sorted, without zones and without IPv4 inside IPv6
	same   int          // how many answers in a row were the newest one
	// lacked tells for each address that was ever answered how many answers in a row it has been missing from; 0: it is in the newest.
	lacked map[netip.Addr]int
	absent int // the longest such row after which an address came back
}

// take adds an answer. An empty one says nothing.
func (a *answers) take(set []netip.Addr) {
	set = tidy(set)
	if len(set) == 0 {
		return
	}
	if !slices.Equal(set, a.newest) {
		a.newest, a.same = set, 0
	}
	a.same++
	if a.lacked == nil || len(a.lacked) > answersKept {
		a.lacked = map[netip.Addr]int{}
	}
	for addr := range a.lacked {
		a.lacked[addr]++
	}
	for _, addr := range set {
		if row := a.lacked[addr]; row > 1 {
			a.absent = max(a.absent, row-1)
		}
		a.lacked[addr] = 0
	}
}

// met notes an address that a lookup by somebody else gave: what it was before is not known, so that no absence is counted.
func (a *answers) met(addr netip.Addr) {
	if _, known := a.lacked[addr]; known {
		return
	}
	if a.lacked == nil {
		a.lacked = map[netip.Addr]int{}
	}
	a.lacked[addr] = 0
}

// nearly reports whether one more answer can decide that addr is gone.
func (a *answers) nearly(addr netip.Addr) bool {
	return a.lacked[addr] > 0 && a.lacked[addr]+1 >= a.enough()
}

// enough is how many answers in a row must lack an address. Names whose answers rotate are known by addresses that came back.
func (a *answers) enough() int { return max(2, 4*a.absent) }

// gone reports whether the name no longer leads to addr: it did once, and enough answers in a row lack it, the newest two being the same.
// An address of a family of which nothing was answered is not judged: half of a lookup may have failed (the resolver asks for each family on its
// own). Nor is one that was never answered, such as that of a proxy.
func (a *answers) gone(addr netip.Addr) bool {
	if a.lacked[addr] < a.enough() || a.same < 2 {
		return false
	}
	return slices.ContainsFunc(a.newest, func(other netip.Addr) bool { return other.Is4() == addr.Is4() })
}

func tidy(set []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, 0, len(set))
	for _, addr := range set {
		if addr.IsValid() {
			out = append(out, addr.Unmap().WithZone(""))
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}
