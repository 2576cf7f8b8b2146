package guard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
)

func addrsOf(list ...string) []netip.Addr {
	out := make([]netip.Addr, 0, len(list))
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestNameLosesAnAddressOnlyByAnswersThatAgree(t *testing.T) {
	const a, b, c = "10.0.0.1", "10.0.0.2", "10.0.0.3"
	for _, tc := range []struct {
		name    string
		answers [][]string
		gone    bool
	}{
		{"it moved", [][]string{{a}, {b}, {b}}, true},
		{"one answer without it", [][]string{{a}, {b}}, false},
		{"it came back", [][]string{{a}, {b}, {a}}, false},
		{"nothing was answered", [][]string{{a}, {}, {}, {}}, false},
		{"it was never answered", [][]string{{b}, {b}, {b}}, false},
		{"answers rotate", [][]string{{a}, {b}, {c}, {a}, {b}, {c}}, false},
		{"answers rotate at random", [][]string{{a}, {b}, {b}, {a}, {c}, {b}, {b}}, false},
		{"one of three left", [][]string{{a, b, c}, {c, b}, {b, c}}, true},
		{"three in another order", [][]string{{a, b, c}, {c, a, b}, {b, c, a}}, false},
		{"half of the lookup failed", [][]string{{a, "2001:db8::1"}, {"2001:db8::1"}, {"2001:db8::1"}}, false},
		{"IPv4 written as IPv6", [][]string{{"::ffff:" + a}, {b}, {"::ffff:" + b}}, true},
	} {
		var known answers
		for _, set := range tc.answers {
			known.take(addrsOf(set...))
		}
		if got := known.gone(netip.MustParseAddr(a)); got != tc.gone {
			t.Errorf("%s %v: gone %v, want %v", tc.name, tc.answers, got, tc.gone)
		}
	}
}

func TestMemoryOfANameIsBounded(t *testing.T) {
	var known answers
	for i := range 10_000 {
		known.take([]netip.Addr{netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})})
	}
	if len(known.lacked) > answersKept+2 {
		t.Errorf("%d addresses are remembered", len(known.lacked))
	}
}

// zone is a name server for one name.
type zone struct {
	mu    sync.Mutex
	set   []string
	err   error
	asked []time.Time
}

func (z *zone) lookup(context.Context, *net.Resolver, string) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked = append(z.asked, time.Now())
	return addrsOf(z.set...), z.err
}

func (z *zone) become(err error, set ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.set, z.err = set, err
}

func (z *zone) since(t time.Time) (n int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	return len(z.asked) - slices.IndexFunc(append(slices.Clone(z.asked), time.Now()), func(at time.Time) bool { return !at.Before(t) })
}

// dialled is a connection in memory that the watch believes to have been dialled by a name.
func dialled(t *testing.T, w *nameWatch, host, addr string) *Conn {
	t.Helper()
	near, far := net.Pipe()
	g := Wrap(near, Options{})
	key := nameKey{host: host}
	w.add(g.self, key, netip.MustParseAddr(addr), false, DefaultResolveEvery)
	t.Cleanup(func() {
		w.remove(g.self, key)
		g.Close()
		far.Close()
	})
	return g
}

func use(g *Conn) { g.lastIO.Store(now()) }

// busy uses the connections for a time, every tenth of a second.
func busy(d time.Duration, conns ...*Conn) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, g := range conns {
			use(g)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestConnectionLeavesWithinTwoSecondsAfterItsNameMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{set: []string{"10.0.0.1", "10.0.0.2"}}
		w := &nameWatch{lookup: z.lookup}
		old, stays := dialled(t, w, "db", "10.0.0.1"), dialled(t, w, "db", "10.0.0.2")
		busy(5*time.Second, old, stays)
		if cause, bad := old.Condemned(); bad {
			t.Fatalf("condemned by %v while its name still led to it", cause)
		}
		z.become(nil, "10.0.0.2", "10.0.0.3")
		busy(2*time.Second, old, stays)
		if cause, _ := old.Condemned(); cause != conn.Identity {
			t.Errorf("2 s after the name moved: condemned by %v, want identity", cause)
		}
		if cause, bad := stays.Condemned(); bad {
			t.Errorf("the connection to the address that stayed was condemned by %v", cause)
		}
	})
}

func TestRestingConnectionLeavesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{set: []string{"10.0.0.1"}}
		w := &nameWatch{lookup: z.lookup}
		g := dialled(t, w, "db", "10.0.0.1")
		time.Sleep(5 * time.Second)
		z.become(nil, "10.0.0.2")
		time.Sleep(resolveIdle*DefaultResolveEvery + time.Second)
		if cause, _ := g.Condemned(); cause != conn.Identity {
			t.Errorf("11 s after the name moved: condemned by %v, want identity", cause)
		}
	})
}

func TestNameServerThatFailsCondemnsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{set: []string{"10.0.0.1"}}
		w := &nameWatch{lookup: z.lookup}
		g := dialled(t, w, "db", "10.0.0.1")
		busy(3*time.Second, g)
		z.become(errors.New("no name server"), "10.0.0.9")
		busy(time.Minute, g)
		z.become(nil)
		busy(time.Minute, g)
		if cause, bad := g.Condemned(); bad {
			t.Errorf("condemned by %v though nobody said that the name moved", cause)
		}
	})
}

func TestManyConnectionsOfOneNameAskOnceASecondAndRestingOnesTenTimesLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{set: []string{"10.0.0.1"}}
		w := &nameWatch{lookup: z.lookup}
		all := make([]*Conn, 50)
		for i := range all {
			all[i] = dialled(t, w, "db", "10.0.0.1")
		}
		from := time.Now()
		busy(time.Minute, all...)
		if n := z.since(from); n < 55 || n > 62 {
			t.Errorf("%d lookups in a minute of use, want one a second", n)
		}
		from = time.Now()
		time.Sleep(time.Minute)
		if n := z.since(from); n < 5 || n > 8 {
			t.Errorf("%d lookups in a minute of rest, want one in ten seconds", n)
		}
	})
}

func TestRotatingAnswersCostNoMoreLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{set: []string{"10.0.0.1"}}
		var turn int
		w := &nameWatch{lookup: func(ctx context.Context, by *net.Resolver, host string) ([]netip.Addr, error) {
			turn++ // there is one name, so one lookup at a time
			z.become(nil, []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}[turn%3])
			return z.lookup(ctx, by, host)
		}}
		g := dialled(t, w, "db", "10.0.0.1")
		busy(10*time.Second, g)
		from := time.Now()
		busy(10*time.Minute, g)
		if n := z.since(from); n > 610 {
			t.Errorf("%d lookups in ten minutes, want one a second", n)
		}
		if cause, bad := g.Condemned(); bad {
			t.Errorf("condemned by %v though its address comes back again and again", cause)
		}
	})
}

func TestWatchOfNamesEndsWithTheLastConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble fails when a goroutine is left
		z := &zone{set: []string{"10.0.0.1"}}
		w := &nameWatch{lookup: z.lookup}
		for range 3 {
			g := dialled(t, w, "db", "10.0.0.1")
			busy(3*time.Second, g)
			w.remove(g.self, nameKey{host: "db"})
			synctest.Wait()
			if w.stop != nil || len(w.all) != 0 {
				t.Fatal("the watch still runs")
			}
		}
	})
}

func TestNameThatMovesBeforeItIsResolvedAgainLeavesNobodyBehind(t *testing.T) {
	for answered, want := range map[bool]conn.Cause{true: conn.Identity, false: conn.None} {
		synctest.Test(t, func(t *testing.T) {
			z := &zone{set: []string{"10.0.0.2"}}
			w := &nameWatch{lookup: z.lookup}
			near, far := net.Pipe()
			defer far.Close()
			g := Wrap(near, Options{})
			defer g.Close()
			w.add(g.self, nameKey{host: "db"}, netip.MustParseAddr("10.0.0.1"), answered, DefaultResolveEvery)
			defer w.remove(g.self, nameKey{host: "db"})
			busy(10*time.Second, g)
			if cause, _ := g.Condemned(); cause != want {
				t.Errorf("the dial's lookup gave the address: %v; condemned by %v, want %v", answered, cause, want)
			}
		})
	}
}

func TestAddressThatIsMetAgainIsNotTakenForAnAnswer(t *testing.T) {
	var known answers
	a, b := netip.MustParseAddr("10.0.0.1"), addrsOf("10.0.0.2")
	known.met(a)
	known.take(b)
	known.met(a) // by a dial whose lookup was answered by a server that lags behind
	known.take(b)
	if !known.gone(a) {
		t.Error("two answers in a row lack the address, and it is not gone")
	}
}
