package conformance_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// leftOut are the cases that say something about a MongoDB driver's pool that is not true of a general one, or need a server.
var leftOut = map[string]string{
	"pool-clear-clears-waitqueue":                        "a cleared MongoDB pool is paused and fails its waiters; ours dials anew for them, which is what a waiter wants",
	"pool-clear-paused":                                  "there is no paused state: a pool is ready when New returns",
	"pool-clear-ready":                                   "there is no paused state",
	"pool-ready":                                         "there is no paused state",
	"pool-ready-ready":                                   "there is no paused state",
	"pool-clear-min-size":                                "there is no paused state: PoolReady comes once; that minPoolSize is refilled after a clear is in package pool's tests",
	"pool-clear-interrupt-immediately":                   "interruptInUseConnections cuts sessions of users; ours are never cut between two statements",
	"pool-clear-interrupting-pending-connections":        "the same, and it needs a fail point of a server",
	"pool-checkout-minPoolSize-connection-maxConnecting": "minPoolSize counts all connections, MinIdle those that are idle: a loan is refilled at once",
	"pool-create-min-size-error":                         "a failed dial clears a MongoDB pool, because its server is marked unknown; ours backs off",
}

// name maps our events to the specification's names.
var names = map[pool.EventKind]string{
	pool.PoolCreated: "ConnectionPoolCreated", pool.PoolReady: "ConnectionPoolReady", pool.PoolCleared: "ConnectionPoolCleared",
	pool.PoolClosed: "ConnectionPoolClosed", pool.ConnectionCreated: "ConnectionCreated", pool.ConnectionReady: "ConnectionReady",
	pool.ConnectionClosed: "ConnectionClosed", pool.CheckOutStarted: "ConnectionCheckOutStarted", pool.CheckedOut: "ConnectionCheckedOut",
	pool.CheckOutFailed: "ConnectionCheckOutFailed", pool.CheckedIn: "ConnectionCheckedIn",
}

// reason maps our causes and errors to the specification's words.
func reason(e pool.Event) string {
	switch {
	case e.Kind == pool.CheckOutFailed && errors.Is(e.Err, pool.ErrClosed):
		return "poolClosed"
	case e.Kind == pool.CheckOutFailed && errors.Is(e.Err, context.DeadlineExceeded):
		return "timeout"
	case e.Kind == pool.CheckOutFailed:
		return "connectionError"
	case e.Cause == conn.Drained:
		return "poolClosed"
	case e.Cause == conn.Generation:
		return "stale"
	case e.Cause == conn.MaxIdle:
		return "idle"
	default:
		return e.Cause.String()
	}
}

// runner is one case under way.
type runner struct {
	t *testing.T
	c specCase
	p *pool.Pool[int]

	mu     sync.Mutex // guards events, ids and held; nothing else is done under it
	events []pool.Event
	ids    map[uint64]int64 // our numbers, which go on through the process, as the specification's, which begin at 1
	held   map[string]pool.Lease[int]

	threads map[string]*thread
	last    error
	readied bool
}

type thread struct {
	work chan func()
	done chan struct{}
	err  error
}

func (r *runner) Observe(e pool.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.ids[e.Conn]; e.Conn != 0 && !known {
		r.ids[e.Conn] = int64(len(r.ids) + 1)
	}
	r.events = append(r.events, e)
}

func (r *runner) count(kind string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.events {
		if names[e.Kind] == kind {
			n++
		}
	}
	return n
}

func (r *runner) limits() pool.Limits {
	o := r.c.PoolOptions
	l := pool.Limits{MaxOpen: 100, MinIdle: o.MinPoolSize, MaxDialing: 2, PingAfter: -1, HeartbeatEvery: -1, MaxIdleTime: -1}
	if o.MaxPoolSize > 0 {
		l.MaxOpen = o.MaxPoolSize
	}
	if o.MaxConnecting > 0 {
		l.MaxDialing = o.MaxConnecting
	}
	if o.MaxIdleTimeMS > 0 {
		l.MaxIdleTime = time.Duration(o.MaxIdleTimeMS) * time.Millisecond
	}
	l.AcquireTimeout = time.Duration(o.WaitQueueTimeoutMS) * time.Millisecond
	return l
}

func (r *runner) run() {
	slow := time.Duration(0)
	if r.c.Style == "integration" {
		slow = 750 * time.Millisecond // the fail point of these cases delays the handshake
	}
	var err error
	r.p, err = pool.New(pool.Config[int]{
		Limits: r.limits(), Observer: r,
		Dial: func(ctx context.Context) (int, error) {
			t := time.NewTimer(slow)
			defer t.Stop()
			select {
			case <-t.C:
				return 0, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	defer r.finish()
	for _, op := range r.c.Operations {
		if op.Thread == "" {
			r.note(r.do(op))
			continue
		}
		th := r.threads[op.Thread]
		th.work <- func() { th.err = r.do(op) }
		synctest.Wait()
	}
	synctest.Wait()
	r.check()
}

// note keeps the first error, which the case may expect.
func (r *runner) note(err error) {
	if r.last == nil {
		r.last = err
	}
}

func (r *runner) do(op operation) error {
	switch op.Name {
	case "ready": // a pool is ready when New returns
		r.readied = true
	case "checkOut":
		l, err := r.p.Acquire(context.Background())
		if err != nil {
			return err
		}
		label := op.Label
		if label == "" {
			label = "unnamed " + time.Now().String() + op.Thread
		}
		r.mu.Lock()
		r.held[label] = l
		r.mu.Unlock()
	case "checkIn":
		r.mu.Lock()
		l := r.held[op.Connection]
		delete(r.held, op.Connection)
		r.mu.Unlock()
		l.Release()
		synctest.Wait()
	case "clear":
		r.p.Invalidate(errors.New("the case says so"))
		synctest.Wait()
	case "close":
		return r.p.Close()
	case "start":
		th := &thread{work: make(chan func(), 8), done: make(chan struct{})}
		r.threads[op.Target] = th
		go func() {
			defer close(th.done)
			for f := range th.work {
				f()
			}
		}()
	case "wait":
		time.Sleep(time.Duration(op.MS) * time.Millisecond)
	case "waitForThread":
		th := r.threads[op.Target]
		close(th.work)
		<-th.done
		delete(r.threads, op.Target)
		return th.err
	case "waitForEvent":
		for until := time.Now().Add(10 * time.Second); r.count(op.Event) < op.Count; time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				r.t.Fatalf("waited in vain for %d × %s", op.Count, op.Event)
			}
		}
	default:
		r.t.Fatalf("unknown operation %q", op.Name)
	}
	return nil
}

// check compares the events, those that the case ignores left out, and the error.
func (r *runner) check() {
	r.mu.Lock()
	defer r.mu.Unlock()
	var got []pool.Event
	var words []string
	for _, e := range r.events {
		name := names[e.Kind]
		if e.Kind == pool.PoolReady && !r.readied {
			continue // our pool is ready when it is made, and says so; the case never made its own ready
		}
		if name != "" && !slices.Contains(r.c.Ignore, name) {
			got = append(got, e)
			words = append(words, name)
		}
	}
	if len(got) < len(r.c.Events) {
		r.t.Fatalf("%d events came, %d are expected: %s", len(got), len(r.c.Events), strings.Join(words, " "))
	}
	for i, w := range r.c.Events {
		e := got[i]
		if words[i] != w.Type {
			r.t.Fatalf("event %d is %s, want %s; all: %s", i, words[i], w.Type, strings.Join(words, " "))
		}
		if w.ConnectionID != nil && *w.ConnectionID != 42 && r.ids[e.Conn] != *w.ConnectionID {
			r.t.Errorf("event %d (%s) is of connection %d, want %d", i, w.Type, r.ids[e.Conn], *w.ConnectionID)
		}
		if w.Reason != "" && reason(e) != w.Reason {
			r.t.Errorf("event %d (%s) has the reason %q, want %q", i, w.Type, reason(e), w.Reason)
		}
	}
	r.checkError()
}

func (r *runner) checkError() {
	if r.c.Error == nil {
		if r.last != nil {
			r.t.Errorf("the operations failed: %v", r.last)
		}
		return
	}
	wanted := map[string]error{"PoolClosedError": pool.ErrClosed, "WaitQueueTimeoutError": pool.ErrExhausted}[r.c.Error.Type]
	if wanted == nil || !errors.Is(r.last, wanted) {
		r.t.Errorf("the operations ended with %v, want %s", r.last, r.c.Error.Type)
	}
}

func (r *runner) finish() {
	_ = r.p.Close()
	for _, th := range r.threads {
		close(th.work)
		<-th.done
	}
	for _, l := range r.held {
		l.Release()
	}
}

func TestPoolKeepsTheConnectionPoolSpecification(t *testing.T) {
	all := cases(t)
	ran := 0
	for name, c := range all {
		if why, out := leftOut[name]; out {
			t.Logf("left out: %s: %s", name, why)
			continue
		}
		ran++
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &runner{t: t, c: c, ids: map[uint64]int64{}, held: map[string]pool.Lease[int]{}, threads: map[string]*thread{}}
				r.run()
			})
		})
	}
	for name := range leftOut {
		if _, known := all[name]; !known {
			t.Errorf("%s is left out and does not exist", name)
		}
	}
	t.Logf("%d of %d cases ran", ran, len(all))
}
