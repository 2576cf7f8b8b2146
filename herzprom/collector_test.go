package herzprom_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"herz.example/herz/ceiling"
	"herz.example/herz/conn"
	"herz.example/herz/herzprom"
	"herz.example/herz/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type thing struct{}

func (*thing) Close() error { return nil }

func newPool(t testing.TB, name string, o pool.Observer, l pool.Limits) *pool.Pool[*thing] {
	t.Helper()
	p, err := pool.New(pool.Config[*thing]{
		Name: name, Observer: o, Limits: l, Dial: func(context.Context) (*thing, error) { return &thing{}, nil },
		Ping: func(context.Context, *thing) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func acquire(t testing.TB, p *pool.Pool[*thing]) pool.Lease[*thing] {
	t.Helper()
	l, err := p.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// scrape gives every series by its name and labels, histograms by their count.
func scrape(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			all[f.GetName()+labels(m)] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func labels(m *dto.Metric) string {
	var b strings.Builder
	for _, l := range m.GetLabel() {
		if l.GetName() != "db_client_connection_pool_name" {
			b.WriteString("," + l.GetValue())
		} else {
			b.WriteString(" " + l.GetValue())
		}
	}
	return b.String()
}

func want(t *testing.T, got map[string]float64, wanted map[string]float64) {
	t.Helper()
	for name, v := range wanted {
		if have, ok := got[name]; !ok || have != v {
			t.Errorf("%s is %v (exported: %v), not %v", name, have, ok, v)
		}
	}
}

func TestNumbersAreThoseOfThePool(t *testing.T) {
	c := herzprom.New(herzprom.Config{})
	p := newPool(t, "orders", c, pool.Limits{MaxOpen: 3, MinIdle: 1, KeepWarm: 2})
	a, b := acquire(t, p), acquire(t, p)
	full := acquire(t, p)
	late, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	if _, err := p.Acquire(late); err == nil {
		t.Fatal("more than MaxOpen")
	}
	a.Release()
	b.Discard(errors.New("torn"))
	full.Release()
	acquire(t, p).Release()
	want(t, scrape(t, c), map[string]float64{
		"db_client_connection_count orders,used":          0,
		"db_client_connection_max orders":                 3,
		"db_client_connection_idle_min orders":            1,
		"db_client_connection_idle_max orders":            2,
		"db_client_connection_pending_requests orders":    0,
		"db_client_connection_timeouts_total orders":      1,
		"db_client_connection_wait_time_seconds orders":   4,
		"db_client_connection_use_time_seconds orders":    4,
		"herz_pool_acquires_total orders,dialed":          3,
		"herz_pool_acquires_total orders,reused":          1,
		"herz_connection_closed_total orders,error":       1,
		"herz_pool_oldest_waiter_seconds orders":          0,
		"herz_pool_generation orders":                     1,
		"herz_pool_active_connections orders":             0,
		"herz_connection_checks_total orders,ping,failed": 0,
	})
	held := acquire(t, p)
	want(t, scrape(t, c), map[string]float64{"db_client_connection_count orders,used": 1, "herz_pool_active_connections orders": 1})
	held.Release()
}

func TestPoolsOfOneNameAreOneSeriesAndAClosedOneLeaves(t *testing.T) {
	c := herzprom.New(herzprom.Config{})
	one, two := newPool(t, "same", c, pool.Limits{MaxOpen: 2}), newPool(t, "same", c, pool.Limits{MaxOpen: 5})
	acquire(t, one).Release()
	acquire(t, two).Release()
	want(t, scrape(t, c), map[string]float64{
		"db_client_connection_max same": 7, "db_client_connection_wait_time_seconds same": 2, "db_client_connection_count same,idle": 2,
		"herz_pool_generation same": 1,
	})
	_ = one.Close()
	want(t, scrape(t, c), map[string]float64{"db_client_connection_max same": 5, "db_client_connection_wait_time_seconds same": 1})
	_ = two.Close()
	if left := scrape(t, c); len(left) != 0 {
		t.Errorf("closed pools leave %v", left)
	}
}

func TestSourceWithoutTheObserverHasItsNumbers(t *testing.T) {
	c := herzprom.New(herzprom.Config{ConstLabels: prometheus.Labels{"service": "shop"}})
	p := newPool(t, "other", nil, pool.Limits{MaxOpen: 4})
	remove := c.Add(p)
	acquire(t, p).Release()
	want(t, scrape(t, c), map[string]float64{"db_client_connection_max other,shop": 4, "herz_pool_acquires_total other,shop,dialed": 1})
	remove()
	remove()
	if left := scrape(t, c); len(left) != 0 {
		t.Errorf("a source that was removed leaves %v", left)
	}
}

func TestMoreConnectionsMakeNoMoreSeries(t *testing.T) {
	c := herzprom.New(herzprom.Config{})
	p := newPool(t, "orders", c, pool.Limits{MaxOpen: 50})
	acquire(t, p).Release()
	before := len(scrape(t, c))
	var all []pool.Lease[*thing]
	for range 50 {
		all = append(all, acquire(t, p))
	}
	for _, l := range all {
		l.Release()
	}
	if after := len(scrape(t, c)); after != before {
		t.Errorf("%d series with one connection, %d with fifty", before, after)
	}
}

func TestNamesAndUnitsAreWhatPrometheusExpects(t *testing.T) {
	c := herzprom.New(herzprom.Config{})
	p := newPool(t, "orders", c, pool.Limits{})
	acquire(t, p).Release()
	problems, err := testutil.CollectAndLint(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if problem.Metric == "db_client_connection_count" {
			continue // the semantic conventions call it so, and so does everybody's board
		}
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

func TestWaitHasTheTraceOfTheOneWhoWaited(t *testing.T) {
	type traceKey struct{}
	c := herzprom.New(herzprom.Config{Exemplar: func(ctx context.Context) prometheus.Labels {
		id, _ := ctx.Value(traceKey{}).(string)
		if id == "" {
			return nil
		}
		return prometheus.Labels{"trace_id": id}
	}})
	p := newPool(t, "orders", c, pool.Limits{MaxOpen: 1})
	l := acquire(t, p)
	done := make(chan error, 1)
	go func() {
		mine, err := p.Acquire(context.WithValue(context.Background(), traceKey{}, "4bf92f35"))
		mine.Release()
		done <- err
	}()
	for limit := time.Now().Add(10 * time.Second); p.Stats().Waiting == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("nobody waits for the one connection")
		}
	}
	l.Release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range families {
		for _, b := range f.GetMetric()[0].GetHistogram().GetBucket() {
			if e := b.GetExemplar(); e != nil {
				found = append(found, f.GetName()+" "+e.GetLabel()[0].GetValue())
			}
		}
	}
	if len(found) != 1 || found[0] != "db_client_connection_wait_time_seconds 4bf92f35" {
		t.Errorf("exemplars: %q", found)
	}
}

func TestLoanCostsNoAllocation(t *testing.T) {
	c := herzprom.New(herzprom.Config{Exemplar: func(context.Context) prometheus.Labels { return nil }})
	p := newPool(t, "orders", c, pool.Limits{})
	pair := func() { acquire(t, p).Release() }
	pair()
	if n := testing.AllocsPerRun(5000, pair); n > 0 {
		t.Errorf("%v allocations for a loan and its return", n)
	}
}

func TestBucketsThatDoNotAscendAreRefusedAtStart(t *testing.T) {
	for _, b := range [][]float64{{2, 1}, {1, 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("buckets %v were taken", b)
				}
			}()
			herzprom.New(herzprom.Config{Buckets: b})
		}()
	}
}

func TestWhatWasLearnedOfAPoolIsExported(t *testing.T) {
	learner := ceiling.New(ceiling.Config{Logger: slog.New(slog.DiscardHandler)})
	metrics := herzprom.New(herzprom.Config{Learner: learner})
	p := newPool(t, "orders", metrics, pool.Limits{MaxIdleTime: 10 * time.Minute})
	newPool(t, "users", metrics, pool.Limits{MaxIdleTime: -1})
	told := learner.Bind(p)
	const learned, limit = "herz_pool_idle_ceiling_seconds orders", "herz_pool_max_idle_time_seconds orders"
	if before := scrape(t, metrics); before[limit] != 600 || has(before, "herz_pool_idle_ceiling") || has(before, "herz_pool_max_idle_time_seconds users") {
		t.Errorf("nothing was learned, and orders has a limit of 600 s: %v", before)
	}
	for i := range 4 {
		told.Observe(pool.Event{
			Kind: pool.ConnectionClosed, At: time.Unix(int64(i), 0), Death: &conn.Death{Cause: conn.PeerFIN, Peer: "db:1", Phase: "idle", Idle: 350 * time.Second},
		})
	}
	if after := scrape(t, metrics); after[learned] != 350 {
		t.Errorf("350 s were learned, %v are told", after[learned])
	}
}

func has(series map[string]float64, prefix string) bool {
	for name := range series {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
