package pool_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// chaosConn is a guarded in-memory connection that its users sign.
type chaosConn struct {
	g      *guard.Conn
	far    net.Conn
	owner  atomic.Int64
	killed atomic.Int64 // when it was killed, by the count of operations; 0: never
	closed atomic.Bool
}

func (c *chaosConn) Close() error {
	c.closed.Store(true)
	_ = c.far.Close()
	return c.g.Close()
}

// chaos is the stress: what the workers and the trouble-makers share.
type chaos struct {
	p          *pool.Pool[*chaosConn]
	ops        atomic.Int64 // a clock: it goes on with each operation
	lent, made atomic.Int64
	alive      sync.Map // *chaosConn → struct{}
	budget     int64
}

func (c *chaos) dial(ctx context.Context) (*chaosConn, error) {
	switch rand.IntN(50) {
	case 0:
		return nil, errors.New("refused")
	case 1:
		if err := sleep(ctx, int64(rand.IntN(2000))*1000); err != nil {
			return nil, err
		}
	}
	near, far := net.Pipe()
	cc := &chaosConn{g: guard.Wrap(near, guard.Options{}), far: far}
	c.made.Add(1)
	c.alive.Store(cc, struct{}{})
	return cc, nil
}

func (c *chaos) close(_ context.Context, cc *chaosConn) error {
	c.alive.Delete(cc)
	return cc.Close()
}

// work is one user: it borrows, signs, looks for another's signature, and returns in one of many ways.
func (c *chaos) work(t *testing.T, me int64) {
	for n := c.ops.Add(1); n < c.budget; n = c.ops.Add(1) {
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		impatient := rand.IntN(4) == 0
		if impatient {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(60))*time.Microsecond)
		}
		l, err := c.p.Acquire(ctx)
		cancel()
		if err != nil {
			c.checkRefusal(t, err, impatient)
			continue
		}
		c.lent.Add(1)
		c.use(t, l, n, me)
	}
}

func (c *chaos) checkRefusal(t *testing.T, err error, impatient bool) {
	var dial *pool.DialError
	switch {
	case errors.As(err, &dial):
	case impatient && errors.Is(err, pool.ErrExhausted):
	default:
		t.Errorf("Acquire without a deadline failed, so a wake-up was lost: %v", err)
		c.ops.Store(c.budget)
	}
}

func (c *chaos) use(t *testing.T, l pool.Lease[*chaosConn], began, me int64) {
	cc := l.Value()
	if other := cc.owner.Swap(me); other != 0 {
		t.Errorf("two owners: %d and %d", other, me)
	}
	if at := cc.killed.Load(); at != 0 && at < began {
		t.Errorf("a connection that died at %d was lent to a caller who came at %d", at, began)
	}
	if cc.closed.Load() {
		t.Error("a closed connection was lent")
	}
	if rand.IntN(3) == 0 {
		runtime.Gosched()
	}
	if other := cc.owner.Swap(0); other != me {
		t.Errorf("two owners: %d and %d", other, me)
	}
	switch rand.IntN(64) {
	case 0:
		l.Discard(errors.New("broken"))
	case 1:
		l.Release()
		l.Release()
	case 2:
		cc.g.Condemn(conn.Error)
		l.Release()
	default:
		l.Release()
	}
}

// trouble does to the pool what operators and networks do, until the budget is spent.
func (c *chaos) trouble(t *testing.T, most int) {
	for c.ops.Load() < c.budget {
		switch rand.IntN(6) {
		case 0:
			l := c.p.Limits()
			l.MaxOpen = 1 + rand.IntN(most)
			l.MinIdle, l.KeepWarm = rand.IntN(l.MaxOpen+1), 0
			if err := c.p.SetLimits(l); err != nil {
				t.Errorf("SetLimits: %v", err)
			}
		case 1:
			c.p.Invalidate(errors.New("fail-over"))
		case 2:
			if _, err := c.p.EvictStale(context.Background()); err != nil {
				t.Errorf("EvictStale: %v", err)
			}
		case 3:
			checkSums(t, c.p.Stats(), most)
			c.p.Snapshot()
			c.p.Deaths()
		default:
			c.alive.Range(func(k, _ any) bool {
				cc, _ := k.(*chaosConn)
				cc.g.Abort(conn.PeerRST)
				cc.killed.CompareAndSwap(0, c.ops.Load())
				return rand.IntN(3) == 0
			})
		}
		_ = sleep(context.Background(), int64(rand.IntN(500))*1000)
	}
}

func stress(t *testing.T, budget int64, most int, change func(*pool.Config[*chaosConn])) {
	c := &chaos{budget: budget}
	cfg := pool.Config[*chaosConn]{
		Name: "chaos", Dial: c.dial, Close: c.close, Guard: func(cc *chaosConn) *guard.Conn { return cc.g },
		Limits: pool.Limits{
			MaxOpen: most, AcquireTimeout: 20 * time.Second, MaxLifetime: 200 * time.Millisecond, MaxIdleTime: 50 * time.Millisecond,
			HeartbeatEvery: 20 * time.Millisecond, MaxUses: 1000,
		},
	}
	if change != nil {
		change(&cfg)
	}
	p, err := pool.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.p = p
	var wg sync.WaitGroup
	for me := range 64 {
		wg.Go(func() { c.work(t, int64(me)+1) })
	}
	wg.Go(func() { c.trouble(t, most) })
	wg.Wait()
	s := p.Stats()
	checkSums(t, s, most)
	if s.InUse != 0 || s.Leases != 0 {
		t.Errorf("all leases were returned, and the pool counts %d connections in use and %d leases", s.InUse, s.Leases)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.Drain(ctx); err != nil {
		t.Fatalf("Drain: %v", err)
	}
	c.checkEnd(t)
}

// checkEnd compares the pool's books with those of the test.
func (c *chaos) checkEnd(t *testing.T) {
	s := c.p.Stats()
	if s.Open != 0 || s.Dialing != 0 || s.Waiting != 0 {
		t.Errorf("a drained pool still counts %+v", s)
	}
	if lent := c.lent.Load(); s.Acquires < uint64(lent) {
		t.Errorf("the pool counts %d leases and gave out %d", s.Acquires, lent)
	}
	var closed uint64
	for _, n := range s.Closed {
		closed += n
	}
	if made := uint64(c.made.Load()); closed != made {
		t.Errorf("%d connections were made and %d have a cause of death", made, closed)
	}
	c.alive.Range(func(k, _ any) bool {
		t.Errorf("connection %v was never closed", k)
		return false
	})
	t.Logf("%d operations, %d leases, %d waits, %d connections, ended by %v", c.budget, c.lent.Load(), s.Waits, c.made.Load(), s.Closed)
}

func TestNoDeadLeaseNoDoubleOwnerNoLostWakeUpUnderChaos(t *testing.T) {
	stress(t, 700_000, 8, nil)
}

func TestChaosWithAnObserverAndResets(t *testing.T) {
	var seen atomic.Int64
	stress(t, 200_000, 8, func(cfg *pool.Config[*chaosConn]) {
		cfg.Reset = func(context.Context, *chaosConn) error { return nil }
		cfg.Observer = observerFunc(func(pool.Event) { seen.Add(1) })
	})
	if seen.Load() == 0 {
		t.Error("the observer was told nothing")
	}
}

func TestChaosWithPings(t *testing.T) {
	stress(t, 200_000, 8, func(cfg *pool.Config[*chaosConn]) {
		cfg.Limits.PingAfter = time.Millisecond
		cfg.Ping = func(ctx context.Context, cc *chaosConn) error {
			if rand.IntN(200) == 0 {
				<-ctx.Done()
				return ctx.Err()
			}
			return cc.g.Alive()
		}
	})
}

func TestChaosWithAPingBeforeEveryLoan(t *testing.T) {
	stress(t, 60_000, 4, func(cfg *pool.Config[*chaosConn]) {
		cfg.Limits.TestOnBorrow = true
		cfg.Ping = func(_ context.Context, cc *chaosConn) error { return cc.g.Alive() }
	})
}

type observerFunc func(pool.Event)

func (f observerFunc) Observe(e pool.Event) { f(e) }
