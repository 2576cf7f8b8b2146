package signal_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"herz.example/herz/ceiling"
	"herz.example/herz/conn"
	"herz.example/herz/pool"
	"herz.example/herz/signal"
)

// sight is a source with fixed numbers.
type sight struct {
	stats  pool.Stats
	limits pool.Limits
}

func (s sight) Name() string              { return "orders" }
func (s sight) Stats() pool.Stats         { return s.stats }
func (s sight) Snapshot() []pool.ConnInfo { return nil }
func (s sight) Deaths() []conn.Death      { return nil }
func (s sight) Limits() pool.Limits       { return s.limits }
func (s sight) Drift() int                { return 21 }
func (s sight) Unasked() []conn.Unasked   { return []conn.Unasked{{Count: 2}, {Count: 3}} }

func values(points []signal.Point) map[string]float64 {
	all := map[string]float64{}
	for _, p := range points {
		all[strings.TrimSpace(p.Metric+" "+p.Attributes[0]+" "+p.Attributes[1])] = p.Value
	}
	return all
}

func TestEachNumberOfAPoolHasItsMetric(t *testing.T) {
	var tally signal.Tally
	tally.Lent(pool.Loan{})
	tally.Lent(pool.Loan{Reused: true})
	tally.Observe(pool.Event{Kind: pool.Leaked, Held: true})
	tally.Observe(pool.Event{Kind: pool.Leaked})
	got := values(signal.Read(sight{
		pool.Stats{
			Idle: 1, InUse: 2, Checking: 3, Stale: 4, Closing: 5, Dialing: 6, Waiting: 7, OldestWait: 1500 * time.Millisecond, Acquires: 100, WaitTimeouts: 8,
			WaitRefused: 9, Dials: 20, DialErrors: 10, Heartbeats: 12, HeartbeatErrs: 11, Misuses: 13, DeadLent: 19, Generation: 14, Closed: map[conn.Cause]uint64{conn.PeerRST: 15},
		},
		pool.Limits{MaxOpen: 16, MinIdle: 17, KeepWarm: 18, MaxIdleTime: 90 * time.Second},
	}, &tally))
	for name, v := range map[string]float64{
		"db.client.connection.count idle": 1, "db.client.connection.count used": 2, "db.client.connection.count checking": 3,
		"db.client.connection.count stale": 4, "db.client.connection.count closing": 5, "herz.pool.dialing": 6, "db.client.connection.pending_requests": 7,
		"herz.pool.oldest_waiter": 1.5, "herz.pool.acquires dialed": 1, "herz.pool.acquires reused": 99, "db.client.connection.timeouts": 8,
		"herz.pool.refused": 9, "herz.pool.dials ok": 4, "herz.pool.dials failed": 10, "herz.connection.checks ping ok": 1,
		"herz.connection.checks ping failed": 11, "herz.pool.misuses": 13, "herz.pool.generation": 14, "herz.connection.closed peer_rst": 15,
		"db.client.connection.max": 16, "db.client.connection.idle.min": 17, "db.client.connection.idle.max": 18, "herz.rows.unasked_error": 5,
		"herz.pool.long_held": 1, "herz.pool.dead_lent": 19, "herz.pool.kernel_drift": 21, "herz.pool.max_idle_time": 90,
	} {
		if have, ok := got[name]; !ok || have != v {
			t.Errorf("%s is %v (there: %v), not %v", name, have, ok, v)
		}
		delete(got, name)
	}
	for _, cause := range conn.Causes() {
		name := "herz.connection.closed " + cause.String()
		if v, there := got[name]; v != 0 || !there && cause != conn.PeerRST && cause != conn.None {
			t.Errorf("%s is %v (there: %v): an alert would miss the first", name, v, there)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("and nobody expects %v", got)
	}
}

func TestWithoutWordOfLoansEachDialWasLentOnce(t *testing.T) {
	got := values(signal.Read(sight{stats: pool.Stats{Dials: 5, DialErrors: 1, Dialing: 1, Acquires: 10}}, &signal.Tally{}))
	if got["herz.pool.acquires dialed"] != 3 || got["herz.pool.acquires reused"] != 7 {
		t.Errorf("of ten loans over three connections %v were first ones, %v others", got["herz.pool.acquires dialed"], got["herz.pool.acquires reused"])
	}
	got = values(signal.Read(sight{stats: pool.Stats{Dials: 1, DialErrors: 1, Dialing: 1}}, &signal.Tally{}))
	if got["herz.pool.dials ok"] != 0 || got["herz.pool.acquires reused"] != 0 {
		t.Errorf("numbers that were read at different times wrap round: %v", got)
	}
}

func TestEachMetricIsDescribedOnceAndEachPointHasADescription(t *testing.T) {
	known := map[string]signal.Metric{}
	for _, m := range signal.Metrics() {
		if _, twice := known[m.Name]; twice || m.Help == "" || !strings.HasSuffix(m.Help, ".") {
			t.Errorf("%s is described twice, or in no sentence", m.Name)
		}
		known[m.Name] = m
	}
	p, err := pool.New(pool.Config[int]{Dial: func(context.Context) (int, error) { return 1, nil }, Close: func(context.Context, int) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, point := range signal.Read(p, &signal.Tally{}) {
		m, ok := known[point.Metric]
		if !ok || m.Kind == signal.Histogram {
			t.Errorf("%s has a value and no description, or is a histogram", point.Metric)
		}
		n := len(slices.DeleteFunc(point.Attributes[:], func(a string) bool { return a == "" }))
		if n != len(m.Attributes) {
			t.Errorf("%s has %d attributes and describes %d", point.Metric, n, len(m.Attributes))
		}
	}
}

func TestNameForPrometheusIsTheUsualTranslation(t *testing.T) {
	for _, c := range []struct {
		metric signal.Metric
		want   string
	}{
		{signal.Metric{Name: "db.client.connection.wait_time", Unit: "s", Kind: signal.Histogram}, "db_client_connection_wait_time_seconds"},
		{signal.Metric{Name: "herz.connection.closed", Unit: "{connection}", Kind: signal.Counter}, "herz_connection_closed_total"},
		{signal.Metric{Name: "db.client.connection.count", Unit: "{connection}", Kind: signal.UpDown}, "db_client_connection_count"},
	} {
		if got := c.metric.Prometheus(); got != c.want {
			t.Errorf("%s is %s, not %s", c.metric.Name, got, c.want)
		}
	}
}

func TestPoolThatClosesNoneForBeingIdleHasNoSuchLimit(t *testing.T) {
	for _, never := range []time.Duration{-1, 0} {
		if v, there := values(signal.Read(sight{limits: pool.Limits{MaxIdleTime: never}}, &signal.Tally{}))["herz.pool.max_idle_time"]; there {
			t.Errorf("MaxIdleTime %d is told as %v s", never, v)
		}
	}
}

func TestShortestTimeOutThatWasLearnedCounts(t *testing.T) {
	var r signal.Readings
	r.Read(sight{}, &signal.Tally{})
	r.Learn([]ceiling.Lesson{{Pool: "orders", Peer: "a", Ceiling: 350 * time.Second}, {Pool: "orders", Peer: "b", Ceiling: time.Minute}, {Pool: "users", Ceiling: time.Second}})
	got := map[string]float64{}
	for at, v := range r.All {
		if at.Metric == signal.IdleCeiling {
			got[at.Pool] += v
		}
	}
	if len(got) != 2 || got["orders"] != 60 || got["users"] != 1 {
		t.Errorf("learned 350 s and 60 s of orders, and 1 s of users: %v", got)
	}
}

func TestPoolsOfOneNameAreOneSeries(t *testing.T) {
	var r signal.Readings
	for _, waited := range []time.Duration{time.Second, 3 * time.Second, 2 * time.Second} {
		r.Read(sight{stats: pool.Stats{Idle: 2, OldestWait: waited}}, &signal.Tally{})
	}
	got := map[signal.Series]float64{}
	for at, v := range r.All {
		if _, twice := got[at]; twice {
			t.Errorf("%v is told twice", at)
		}
		got[at] = v
	}
	idle := signal.Series{Pool: "orders", Metric: signal.Count, Attributes: [2]string{"idle"}}
	oldest := signal.Series{Pool: "orders", Metric: signal.Oldest}
	if got[idle] != 6 || got[oldest] != 3 {
		t.Errorf("%v idle and %v s for the oldest waiter of three pools", got[idle], got[oldest])
	}
}
