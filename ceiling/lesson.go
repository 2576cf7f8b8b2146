package ceiling

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Lesson is what was learned of one peer of one pool.
type Lesson struct {
	Pool, Peer string
	Ceiling    time.Duration // idle age at which the peer, or something between, closes connections
	Spread     time.Duration // half of how far the ages lie apart
	Agree, Of  int           // observations that agree, of the newest ones; see [Kept]
	Known      []string      // what is known to close connections at that age unless it is configured otherwise
	Limit      time.Duration // what MaxIdleTime was set to because of it; 0: nothing was
}

// Advised is the MaxIdleTime below which Herz closes first.
func (l Lesson) Advised() time.Duration { return advised(l.Ceiling) }

func advised(ceiling time.Duration) time.Duration { return time.Duration(share * float64(ceiling)) }

// String says the lesson in a sentence, with its evidence and what to do.
func (l Lesson) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "something closes connections of pool %q to %s that were idle for %v ± %v (%d of %d)",
		l.Pool, l.Peer, tidy(l.Ceiling), tidy(l.Spread), l.Agree, l.Of)
	if len(l.Known) > 0 {
		fmt.Fprintf(&b, "; %s would, unless configured otherwise", strings.Join(l.Known, ", "))
	}
	if l.Limit > 0 {
		fmt.Fprintf(&b, "; MaxIdleTime was set to %v", tidy(l.Limit))
	} else {
		fmt.Fprintf(&b, "; set MaxIdleTime to %v", tidy(l.Advised()))
	}
	return b.String()
}

func tidy(d time.Duration) time.Duration {
	if d >= time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

// defaults are idle time-outs of hops that close by FIN or RST, as they come.
var defaults = []struct {
	after time.Duration
	who   string
}{
	{2 * time.Second, "gunicorn"},
	{5 * time.Second, "Node.js and uvicorn"},
	{60 * time.Second, "an AWS ALB or Classic ELB, and nginx towards its upstreams"},
	{75 * time.Second, "nginx"},
	{300 * time.Second, "a MariaDB or MySQL with wait_timeout=300"},
	{350 * time.Second, "an AWS NLB or NAT gateway"},
	{600 * time.Second, "PgBouncer (server_idle_timeout), nginx stream, managed MariaDB and GCP's balancers"},
	{900 * time.Second, "IPVS"},
	{1800 * time.Second, "RDS Proxy"},
	{3600 * time.Second, "Envoy and Istio"},
	{28800 * time.Second, "MySQL, MariaDB and ProxySQL (wait_timeout)"},
}

// known names what closes at about that age.
func known(age time.Duration) (names []string) {
	for _, d := range defaults {
		if (age - d.after).Abs() <= max(d.after/100, 300*time.Millisecond) {
			names = append(names, d.who)
		}
	}
	return names
}

// settled looks for an age at which most of the observations lie. They are in the order in which they were made.
func settled(ages []time.Duration) (ceiling, spread time.Duration, agree int, ok bool) {
	sorted := slices.Sorted(slices.Values(ages))
	for i, from := range sorted {
		n := 1
		for i+n < len(sorted) && sorted[i+n]-from <= max(from/10, slack) {
			n++
		}
		if n > agree {
			agree, ceiling, spread = n, sorted[i+n/2], (sorted[i+n-1]-from+1)/2
		}
	}
	return ceiling, spread, agree, agree >= enough && float64(agree) >= most*float64(len(ages))
}

const (
	// Kept is how many observations of a peer count, the newest ones.
	Kept = 12
	// share is the part of the ceiling to which MaxIdleTime is set.
	share = 0.8
	// enough is how many observations have to agree, and most which part of all.
	enough = 4
	most   = 0.8
	// slack is how far ages may lie apart, where a tenth is less: servers look at their connections now and then.
	slack = 500 * time.Millisecond
)
