package herzhttp

import (
	"net/netip"
	"sync"
	"time"
)

// ailing are the addresses of a host that could not be dialled: without it one that is dead, and so has the fewest connections, would be tried first by each
// dial. The zero value is ready.
type ailing struct {
	known sync.Map // netip.Addr → ailment
}

// ailment is one address that could not be dialled.
type ailment struct {
	until int64 // by clock: when it is tried again like others
	span  int64 // how long that was after it had failed
}

// The first failure of an address is remembered for ailsLeast, and each one that follows for twice as long as the one before.
const (
	ailsLeast = int64(10 * time.Second)
	ailsMost  = int64(2 * time.Minute)
)

// note says how a dial of a went. It forgets what is long over.
func (l *ailing) note(a netip.Addr, well bool) {
	now := clock()
	l.known.Range(func(key, value any) bool {
		if x := value.(ailment); now > x.until+x.span {
			l.known.Delete(key)
		}
		return true
	})
	if well {
		l.known.Delete(a)
		return
	}
	span := ailsLeast
	if before, ok := l.known.Load(a); ok {
		x := before.(ailment)
		if now < x.until {
			return // a dial beside the one that told
		}
		span = min(2*x.span, ailsMost)
	}
	l.known.Store(a, ailment{now + span, span})
}

// last puts those that ail behind the others.
func (l *ailing) last(all []netip.Addr) []netip.Addr {
	well, ill := make([]netip.Addr, 0, len(all)), []netip.Addr(nil)
	now := clock()
	for _, a := range all {
		if x, ok := l.known.Load(a); ok && now < x.(ailment).until {
			ill = append(ill, a)
		} else {
			well = append(well, a)
		}
	}
	return append(well, ill...)
}
