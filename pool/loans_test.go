package pool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/pool"
)

// clerk is called at each loan, and remembers what it is to remember.
type clerk struct {
	log

	mu    sync.Mutex // guards lines
	lines []string
	memos bool
}

func (c *clerk) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, fmt.Sprintf(format, args...))
}

type askerKey struct{}

func (c *clerk) Lent(ctx context.Context, l pool.Loan) any {
	c.note("lent to %v after %v reused %v", ctx.Value(askerKey{}), l.Waited, l.Reused)
	if !c.memos {
		return nil
	}
	return ctx.Value(askerKey{})
}

func (c *clerk) Refused(ctx context.Context, waited time.Duration, err error) {
	c.note("refused %v after %v: %v", ctx.Value(askerKey{}), waited, errors.Is(err, context.DeadlineExceeded))
}

func (c *clerk) Returned(l pool.Loan, memo any) {
	c.note("returned by %v after %v, %v", memo, l.Held, l.Err)
}

func as(name string) context.Context {
	return context.WithValue(context.Background(), askerKey{}, name)
}

func TestCalledObserverHearsOfEachLoanWithItsTimesAndItsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clerk{memos: true}
		p := newPool(t, &fakeServer{}, func(cfg *pool.Config[*fake]) { cfg.Observer, cfg.Limits = c, pool.Limits{MaxOpen: 1} })
		defer p.Close()
		l, err := p.Acquire(as("a"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Millisecond)
		late, cancel := context.WithTimeout(as("b"), 3*time.Millisecond)
		defer cancel()
		if _, err = p.Acquire(late); err == nil {
			t.Fatal("two loans of one connection")
		}
		l.Release()
		l, err = p.Acquire(as("c"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		l.Discard(errors.New("torn"))
		want := []string{
			"lent to a after 0s reused false", "refused b after 3ms: true", "returned by a after 10ms, <nil>",
			"lent to c after 0s reused true", "returned by c after 1ms, torn",
		}
		if !slices.Equal(c.lines, want) {
			t.Errorf("heard\n%q, not\n%q", c.lines, want)
		}
		for _, kind := range []pool.EventKind{pool.CheckOutStarted, pool.CheckedOut, pool.CheckOutFailed, pool.CheckedIn} {
			if n := len(c.of(kind)); n != 0 {
				t.Errorf("and of %d events %v beside the calls", n, kind)
			}
		}
	})
}

func TestCalledObserverHearsOfEachLeaseOfASharedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clerk{memos: true}
		p := newPool(t, &fakeServer{}, func(cfg *pool.Config[*fake]) {
			cfg.Observer, cfg.Limits, cfg.Shares = c, pool.Limits{MaxOpen: 1}, func(*fake) int { return 2 }
		})
		defer p.Close()
		a, err := p.Acquire(as("a"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
		b, err := p.Acquire(as("b"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
		a.Release()
		b.Release()
		want := []string{
			"lent to a after 0s reused false", "lent to b after 0s reused true", "returned by a after 10ms, <nil>", "returned by b after 5ms, <nil>",
		}
		if !slices.Equal(c.lines, want) {
			t.Errorf("heard\n%q, not\n%q", c.lines, want)
		}
	})
}

func TestEachOfSeveralObserversIsToldOnceInItsOwnWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain, first, second := &log{}, &clerk{memos: true}, &clerk{}
		all := pool.Tee(nil, plain, pool.Tee(first, nil), second)
		p := newPool(t, &fakeServer{}, func(cfg *pool.Config[*fake]) { cfg.Observer = all })
		defer p.Close()
		l, err := p.Acquire(as("a"))
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
		for who, c := range map[string]*clerk{"a": first, "<nil>": second} {
			want := []string{"lent to a after 0s reused false", "returned by " + who + " after 0s, <nil>"}
			if !slices.Equal(c.lines, want) {
				t.Errorf("heard %q, not %q", c.lines, want)
			}
			if len(c.of(pool.CheckedOut)) != 0 || len(c.of(pool.ConnectionReady)) != 1 {
				t.Error("a called observer is told of other things by events, and of loans not by them as well")
			}
		}
		for _, kind := range []pool.EventKind{pool.CheckOutStarted, pool.CheckedOut, pool.CheckedIn, pool.ConnectionReady} {
			if n := len(plain.of(kind)); n != 1 {
				t.Errorf("the plain observer was told %d times of %v", n, kind)
			}
		}
	})
}

// office gives each pool a clerk of its own.
type office struct {
	log

	clerks map[string]*clerk
}

func (o *office) Bind(src pool.Source) pool.Observer {
	if src.Name() == "unseen" {
		return nil
	}
	o.clerks[src.Name()] = &clerk{}
	return o.clerks[src.Name()]
}

func TestBinderHasAnObserverForEachPool(t *testing.T) {
	o := &office{clerks: map[string]*clerk{}}
	for _, name := range []string{"one", "two", "unseen"} {
		p := newPool(t, &fakeServer{}, func(cfg *pool.Config[*fake]) { cfg.Name, cfg.Observer = name, pool.Tee(&log{}, o) })
		l, err := p.Acquire(as(name))
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
		_ = p.Close()
	}
	if len(o.clerks) != 2 || len(o.events) != 0 {
		t.Fatalf("%d observers for two pools, and %d events to their maker", len(o.clerks), len(o.events))
	}
	for name, c := range o.clerks {
		if len(c.lines) != 2 || len(c.of(pool.PoolCreated)) != 1 || len(c.of(pool.PoolClosed)) != 1 {
			t.Errorf("%s: heard %q and %s", name, c.lines, c.kinds(0))
		}
	}
}

func TestTeeOfNobodyIsNoObserver(t *testing.T) {
	if o := pool.Tee(nil, pool.Tee()); o != nil {
		t.Errorf("it is %T, so that a pool would be slower for nobody", o)
	}
}

// silentClerk is called and remembers nothing.
type silentClerk struct{}

func (silentClerk) Observe(pool.Event)                            {}
func (silentClerk) Lent(context.Context, pool.Loan) any           { return nil }
func (silentClerk) Refused(context.Context, time.Duration, error) {}
func (silentClerk) Returned(pool.Loan, any)                       {}

func TestCalledObserverCostsNoAllocation(t *testing.T) {
	for name, o := range map[string]pool.Observer{"one": silentClerk{}, "two": pool.Tee(silentClerk{}, silentClerk{})} {
		p := newPool(t, &fakeServer{}, func(cfg *pool.Config[*fake]) { cfg.Observer = o })
		pair := func() {
			l, err := p.Acquire(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			l.Release()
		}
		pair()
		// One of 1,024 leases is sampled for the proof of leaks, and costs two.
		if n := testing.AllocsPerRun(5000, pair); n > 0 {
			t.Errorf("%s: %v allocations a pair", name, n)
		}
		_ = p.Close()
	}
}
