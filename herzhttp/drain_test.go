package herzhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/herzhttp"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

var (
	_ herzhttp.Drainer = (*pool.Pool[int])(nil)
	_ herzhttp.Drainer = (*herzsql.View)(nil)
)

const (
	traceA = "4bf92f3577b34da6a3ce929d0e0e4736"
	traceB = "0af7651916cd43dd8448eb211c80319c"
)

// newPool makes a pool of connections that are numbers.
func newPool(t *testing.T, name string, who *herzhttp.Borrowers, shares int, l pool.Limits) *pool.Pool[int] {
	t.Helper()
	cfg := pool.Config[int]{Name: name, Dial: func(context.Context) (int, error) { return 1, nil }, Limits: l}
	if who != nil {
		cfg.Observer = who
	}
	if shares > 0 {
		cfg.Shares = func(int) int { return shares }
	}
	p, err := pool.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// borrow borrows for a trace.
func borrow(t *testing.T, p *pool.Pool[int], trace string) pool.Lease[int] {
	t.Helper()
	ctx := t.Context()
	if trace != "" {
		ctx = herzhttp.WithTraceID(ctx, trace)
	}
	l, err := p.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDrainTellsWhoStillHoldsWhatAndHowLongItTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		who, log := &herzhttp.Borrowers{}, &lines{}
		good := newPool(t, "orders", who, 0, pool.Limits{LeakAfter: time.Hour})
		bad := newPool(t, "stock", who, 0, pool.Limits{LeakAfter: time.Hour})
		idle := newPool(t, "idle", nil, 0, pool.Limits{})
		slow, never := borrow(t, good, traceA), borrow(t, bad, traceB)
		time.Sleep(time.Minute)
		go func() { time.Sleep(2 * time.Second); slow.Release() }()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		all, err := herzhttp.DrainPools(ctx, slogTo(log), who, good, bad, idle)
		if err == nil || !strings.Contains(err.Error(), `"stock": 1 connection is still lent`) || strings.Contains(err.Error(), "orders") || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error is %v", err)
		}
		for i, want := range []struct {
			took       time.Duration
			lent, left []string
		}{{2 * time.Second, []string{traceA}, nil}, {5 * time.Second, []string{traceB}, []string{traceB}}, {0, nil, nil}} {
			if all[i].Took != want.took || !slices.Equal(traces(all[i].Lent), want.lent) || !slices.Equal(traces(all[i].Left), want.left) {
				t.Errorf("%+v, want %+v", all[i], want)
			}
		}
		for _, words := range [][]string{
			{"level=INFO", "still lent as its pool begins to drain", "pool=orders", "held=1m0s", "trace_id=" + traceA, "holder=", "drain_test.go"},
			{"level=INFO", "pool drained", "pool=orders", "took=2s", "lent_before=1"},
			{"level=WARN", "did not drain in time", "pool=stock", "took=5s", "lent_after=1"},
			{"level=WARN", "still lent, and cut when the process ends", "pool=stock", "held=1m5s", "trace_id=" + traceB},
			{"level=INFO", "pool drained", "pool=idle", "took=0s", "lent_before=0"},
		} {
			if len(log.with(words...)) != 1 {
				t.Errorf("no line, or several, with %v: %v", words, log.with())
			}
		}
		never.Release()
		if left := bad.Stats().InUse; left != 0 {
			t.Errorf("%d lent after all were returned", left)
		}
	})
}

func traces(list []herzhttp.Lent) (ids []string) {
	for _, l := range list {
		ids = append(ids, l.Traces...)
	}
	return ids
}

func TestLogOfALargePoolIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		p := newPool(t, "orders", nil, 0, pool.Limits{MaxOpen: 40})
		var leases []pool.Lease[int]
		for range 40 {
			leases = append(leases, borrow(t, p, ""))
		}
		go func() {
			time.Sleep(time.Second)
			for _, l := range leases {
				l.Release()
			}
		}()
		if _, err := herzhttp.DrainPools(t.Context(), slogTo(log), nil, p); err != nil {
			t.Fatal(err)
		}
		if got := len(log.with("still lent as")); got != 16 || len(log.with("more=24")) != 1 {
			t.Errorf("%d lines: %v", got, log.with())
		}
	})
}

func TestPoolsThatDoNotMindTheirContextHoldNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		began := time.Now()
		// without a deadline they have 5 s
		all, err := herzhttp.DrainPools(t.Context(), slogTo(&lines{}), nil, deaf{release}, deaf{release}, deaf{release})
		if took := time.Since(began); err == nil || took != herzhttp.DefaultPoolDrain+500*time.Millisecond || all[0].Took != took || all[2].Took != took {
			t.Errorf("it took %v, said %v and %v: %v", took, all[0].Took, all[2].Took, err)
		}
	})
}

func TestPoolThatTakesItsTimeToCloseSaysWhatItLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, err := herzhttp.DrainPools(t.Context(), slogTo(&lines{}), nil, slowly{})
		if err == nil || len(all[0].Left) != 1 || all[0].Left[0].Conn != 7 {
			t.Errorf("%+v: %v", all, err)
		}
	})
}

// slowly is a pool with one connection lent, whose Close takes as long as that of a real one may.
type slowly struct{}

func (slowly) Name() string                    { return "slowly" }
func (slowly) Drain(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (slowly) Close() error                    { time.Sleep(250 * time.Millisecond); return nil }
func (slowly) Snapshot() []pool.ConnInfo {
	return []pool.ConnInfo{{ID: 7, State: conn.InUse, Held: time.Second, Leases: 1}}
}

type deaf struct{ release chan struct{} }

func (deaf) Name() string                  { return "deaf" }
func (d deaf) Drain(context.Context) error { <-d.release; return nil }

func TestBorrowersKnowWhoHoldsAConnectionNowAndNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		who := &herzhttp.Borrowers{}
		p, shared := newPool(t, "orders", who, 0, pool.Limits{MaxOpen: 1}), newPool(t, "streams", who, 3, pool.Limits{MaxOpen: 1})
		l := borrow(t, p, traceA)
		id := l.Info().Conn
		if got := who.Of("orders", id); !slices.Equal(got, []string{traceA}) {
			t.Errorf("its holder is %v", got)
		}
		if got := who.Of("streams", id); got != nil {
			t.Errorf("a connection of another pool is held by %v", got)
		}
		l.Release()
		if got := who.Of("orders", id); got != nil {
			t.Errorf("a returned connection is held by %v", got)
		}
		l = borrow(t, p, "")
		if got := who.Of("orders", id); got != nil || l.Info().Conn != id {
			t.Errorf("a caller without a trace is %v", got)
		}
		l.Discard(nil)
		l = borrow(t, p, traceB)
		l.Discard(errors.New("broken"))
		if got := who.Of("orders", l.Info().Conn); got != nil {
			t.Errorf("a discarded connection is held by %v", got)
		}
		a, b := borrow(t, shared, traceA), borrow(t, shared, traceB)
		if got := who.Of("streams", a.Info().Conn); !slices.Equal(got, []string{traceB, traceA}) {
			t.Errorf("a shared connection is held by %v", got)
		}
		a.Release()
		if got := who.Of("streams", b.Info().Conn); !slices.Equal(got, []string{traceB}) {
			t.Errorf("after one of two returned it, it is held by %v", got)
		}
		b.Release()
	})
}

func TestLostLoanIsForgotten(t *testing.T) {
	who := &herzhttp.Borrowers{}
	p := newPool(t, "orders", who, 0, pool.Limits{LeakAfter: time.Hour, MaxOpen: 1}) // each loan is sampled
	id := borrow(t, p, traceA).Info().Conn                                           // and nobody keeps the lease
	eventually(t, "the collector finds the lost lease, and nobody holds the connection", func() bool {
		runtime.GC()
		return who.Of("orders", id) == nil
	})
}

func TestLoanThatIsLostAfterItsPeerHasLeftIsForgotten(t *testing.T) {
	s, cfg := newSite(t, "http/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	who := &herzhttp.Borrowers{TraceID: func(context.Context) string { return traceA }}
	cfg.Observer = who
	cfg.Limits.LeakAfter = time.Hour // each loan is sampled
	tr := newTransport(t, cfg)
	lose(t, tr, s.URL)
	p := tr.Pools()[0]
	id := p.Snapshot()[0].ID
	if got := who.Of(p.Name(), id); !slices.Equal(got, []string{traceA}) {
		t.Fatalf("its holder is %v", got)
	}
	s.CloseClientConnections()
	eventually(t, "the pool has seen the end", func() bool { return p.Stats().InUse == 0 })
	eventually(t, "the collector finds the lost body", func() bool { runtime.GC(); return p.Stats().Open == 0 })
	eventually(t, "nobody holds the connection", func() bool { return who.Of(p.Name(), id) == nil })
}

func TestTraceOfARequestReachesThePool(t *testing.T) {
	for header, want := range map[string]string{
		"00-" + traceA + "-00f067aa0ba902b7-01":                  traceA,
		"00-" + traceA + "-00f067aa0ba902b7-00":                  traceA,
		"cc-" + traceA + "-00f067aa0ba902b7-01-what-comes-later": traceA,
		"":                                      "",
		"00-" + traceA:                          "",
		"ff-" + traceA + "-00f067aa0ba902b7-01": "",
		"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01": "",
		"00-" + strings.ToUpper(traceA) + "-00f067aa0ba902b7-01": "",
		"00-" + traceA[:31] + "\n-00f067aa0ba902b7-01":           "",
		"00+" + traceA + "-00f067aa0ba902b7-01":                  "",
	} {
		who := &herzhttp.Borrowers{}
		p := newPool(t, "orders", who, 0, pool.Limits{})
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			l, err := p.Acquire(r.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Release()
			_, _ = io.WriteString(w, strings.Join(who.Of("orders", l.Info().Conn), " "))
		})
		hs := &http.Server{Handler: h}
		if _, err := herzhttp.NewServer(hs, herzhttp.ServerConfig{Borrowers: who}); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Traceparent"] = []string{header}
		hs.Handler.ServeHTTP(w, r)
		if got := w.Body.String(); got != want {
			t.Errorf("traceparent %q: the loan belongs to %q, want %q", header, got, want)
		}
	}
}

func TestTraceOfAnotherKindIsAskedFor(t *testing.T) {
	type key struct{}
	who := &herzhttp.Borrowers{TraceID: func(ctx context.Context) string { id, _ := ctx.Value(key{}).(string); return id }}
	p := newPool(t, "orders", who, 0, pool.Limits{})
	l, err := p.Acquire(context.WithValue(t.Context(), key{}, "mine"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if got := who.Of("orders", l.Info().Conn); !slices.Equal(got, []string{"mine"}) {
		t.Errorf("the loan belongs to %v", got)
	}
}

// The end of a program without an HTTP server: its pools drain, and what they had lent is logged.
func ExampleDrainPools() {
	p, err := pool.New(pool.Config[string]{Name: "orders", Dial: func(context.Context) (string, error) { return "a session", nil }})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	drained, err := herzhttp.DrainPools(ctx, nil, nil, p)
	fmt.Println(drained[0].Pool, len(drained[0].Lent), err)
	// Output: orders 0 <nil>
}
