package signal

import (
	"sync/atomic"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// Point is the value of one metric of a pool, with one set of attributes.
type Point struct {
	Metric     string
	Attributes [2]string // values, for Metric.Attributes in that order; empty where there is none
	Value      float64
}

// Tally counts what a pool does not count itself. The zero value is ready.
type Tally struct{ fresh, held atomic.Uint64 }

// Lent counts a loan.
func (t *Tally) Lent(l pool.Loan) {
	if !l.Reused {
		t.fresh.Add(1)
	}
}

// Observe counts an event.
func (t *Tally) Observe(e pool.Event) {
	if e.Kind == pool.Leaked && e.Held {
		t.held.Add(1)
	}
}

// unasking is a source that also knows of results whose error nobody looked at, as what herzsql.Source gives.
type unasking interface{ Unasked() []conn.Unasked }

// drifting is a source that compares what it believes with what the kernel says, as pools of Herz do.
type drifting interface{ Drift() int }

// speaking is a source that says what is spoken, as pools of Herz do.
type speaking interface{ Protocol() string }

// OfHTTP reports whether src says that it is a pool of HTTP connections. Of such a pool no metric is told whose name is of databases.
func OfHTTP(src pool.Source) bool {
	s, ok := src.(speaking)
	return ok && s.Protocol() == "http"
}

// Read gives the points of all metrics of a pool that are no histogram. The numbers of connections are those of one moment.
func Read(src pool.Source, t *Tally) []Point {
	st, l := src.Stats(), src.Limits()
	fresh := t.firstLoans(st)
	points := []Point{
		point(st.Idle, Count, "idle"), point(st.InUse, Count, "used"), point(st.Checking, Count, "checking"), point(st.Stale, Count, "stale"),
		point(st.Closing, Count, "closing"), point(l.MaxOpen, Max), point(l.MinIdle, IdleMin), point(idleMost(l), IdleMax), point(st.Waiting, Pending),
		point(st.WaitTimeouts, Timeouts),
		{Metric: Oldest, Value: st.OldestWait.Seconds()},
		point(st.Dialing, Dialing), point(dialled(st), Dials, "ok"),
		point(st.DialErrors, Dials, "failed"), point(st.Heartbeats-min(st.HeartbeatErrs, st.Heartbeats), Checks, "ping", "ok"),
		point(st.HeartbeatErrs, Checks, "ping", "failed"), point(fresh, Acquires, "dialed"), point(st.Acquires-fresh, Acquires, "reused"),
		point(st.Generation, Generation), point(st.WaitRefused, Refused), point(st.Misuses, Misuses), point(t.held.Load(), LongHeld), point(st.DeadLent, DeadLent),
	}
	for _, cause := range conn.Causes()[1:] { // also those that were none yet: a series that begins with 1 has not risen, for who asks for its increase
		points = append(points, point(st.Closed[cause], Closed, cause.String()))
	}
	if l.MaxIdleTime > 0 {
		points = append(points, Point{Metric: MaxIdleTime, Value: l.MaxIdleTime.Seconds()})
	}
	if d, ok := src.(drifting); ok {
		points = append(points, point(d.Drift(), KernelDrift))
	}
	if u, ok := src.(unasking); ok {
		var n uint64
		for _, place := range u.Unasked() {
			n += place.Count
		}
		points = append(points, point(n, Unasked))
	}
	return points
}

func point[N int | uint64](n N, metric string, attributes ...string) Point {
	p := Point{Metric: metric, Value: float64(n)}
	copy(p.Attributes[:], attributes)
	return p
}

// idleMost is what a quiet pool keeps.
func idleMost(l pool.Limits) int {
	if l.KeepWarm > 0 {
		return l.KeepWarm
	}
	return l.MaxOpen
}

// firstLoans is how many connections were lent for the first time. Where no loan is told, each that was dialled was lent at once.
func (t *Tally) firstLoans(st pool.Stats) uint64 {
	n := t.fresh.Load()
	if n == 0 {
		n = dialled(st)
	}
	return min(n, st.Acquires)
}

// dialled is how many dials succeeded.
func dialled(st pool.Stats) uint64 {
	return st.Dials - min(st.Dials, st.DialErrors+uint64(max(st.Dialing, 0)))
}
