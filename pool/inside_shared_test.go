package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// listed walks p's idle list and compares it with its length.
func listed[T any](t *testing.T, p *Pool[T]) int {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for e := p.idle.head; e != nil && n <= len(p.all); e = e.next {
		n++
	}
	if n != p.idle.n {
		t.Errorf("the idle list has %d entries and says %d", n, p.idle.n)
	}
	return n
}

func TestNewcomerDoesNotOvertakeTheLine(t *testing.T) {
	p := newPlain(t, func(c *Config[*num]) { c.Limits.MaxOpen = 1 })
	take(t, p).Release()
	ctx := context.Background()
	l, w, err := p.takeOrJoin(ctx)
	if w != nil || err != nil {
		t.Fatalf("with a connection at hand and no line the caller has to wait (error %v)", err)
	}
	l.Release()
	p.mu.Lock()
	p.sweepSlotsLocked()
	first, err := p.joinAsLocked(ctx, p.exact())
	p.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := p.takeOrJoin(ctx)
	if second == nil || err != nil {
		t.Fatalf("a newcomer was served before one who stood in line (error %v)", err)
	}
	for _, w := range []*waiter[*num]{first, second} {
		g := <-w.ch
		p.begin(g.e, g.seq, p.now()).Release()
	}
}

func TestFaultyConnectionWithRoomLeavesTheListOfThoseWithRoom(t *testing.T) {
	p := newPlain(t, func(c *Config[*num]) { c.Shares = func(*num) int { return 3 } })
	a, b := take(t, p), take(t, p)
	a.Discard(errors.New("broken"))
	if n := listed(t, p); n != 0 {
		t.Errorf("%d connections with room, but the only one is to be closed", n)
	}
	b.Release()
	if n := listed(t, p); n != 0 {
		t.Errorf("%d connections with room after the only one was closed", n)
	}
}

func TestConnectionThatNobodyWantsAnyMoreIsLaidBackOnce(t *testing.T) {
	p := newPlain(t, func(c *Config[*num]) { c.Shares = func(*num) int { return 2 } })
	l := take(t, p)
	for _, idle := range []bool{false, true} { // with room, and without any lease
		if idle {
			l.Release()
		}
		p.mu.Lock()
		e := p.takeIdleLocked()
		if e == nil && !idle {
			e = p.all[0] // the loan left it out until somebody looks
		}
		p.takenLocked(e)
		p.mu.Unlock()
		p.offer(e, fit, conn.None, 2) // he for whom it was taken has gone
		if n := listed(t, p); n != 1 {
			t.Errorf("idle %v: it lies %d times in the list", idle, n)
		}
	}
}

func TestResetTakesAConnectionOutOfTheListOnce(t *testing.T) {
	for _, shares := range []int{1, 2} { // full, and with room
		var resets atomic.Int64
		p := newPlain(t, func(c *Config[*num]) {
			c.Shares = func(*num) int { return shares }
			c.Reset = func(context.Context, *num) error { resets.Add(1); return nil }
		})
		var both []Lease[*num]
		for range shares {
			both = append(both, take(t, p))
		}
		for i, l := range both {
			if n := resets.Load(); n != 0 {
				t.Errorf("%d resets after %d of %d leases of a connection have ended", n, i, shares)
			}
			l.Release()
		}
		for deadline := time.Now().Add(5 * time.Second); p.Stats().Idle != 1; {
			if time.Now().After(deadline) {
				t.Fatal("the connection did not come back from its reset")
			}
		}
		if n := listed(t, p); n != 1 {
			t.Errorf("with %d shares the idle list has %d entries after a reset, not 1", shares, n)
		}
		if n := resets.Load(); n != 1 {
			t.Errorf("with %d shares %d resets after the last lease, not 1", shares, n)
		}
	}
}

// opaque hides the guard under it.
type opaque struct{ net.Conn }

func TestGuardIsFoundUnderAConnectionThatHidesIt(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	d := &guard.Dialer{}
	p, err := New(Config[net.Conn]{Dial: func(ctx context.Context) (net.Conn, error) {
		c, err := d.DialContext(ctx, "tcp", listener.Addr().String())
		return opaque{c}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l, err := p.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if l.e.guard == nil {
		t.Error("the guard that was dialled was not found")
	}
}

func TestReturnOfMoreConnectionsThanThereAreSlotsIsNoMisuse(t *testing.T) {
	p := newPlain(t, nil)
	var all []Lease[*num]
	for range p.Limits().MaxOpen {
		all = append(all, take(t, p))
	}
	for _, l := range all {
		l.Release()
	}
	if s := p.Stats(); s.Misuses != 0 || s.Idle != len(all) {
		t.Errorf("%d misuses and %d idle after %d returns", s.Misuses, s.Idle, len(all))
	}
}

func TestIdleTimeIsAskedAtTheLoanOnlyWhereNothingIsKeptWarm(t *testing.T) {
	p := newPlain(t, nil)
	for keep, want := range map[int]int64{0: int64(time.Minute), 3: never} {
		l, err := Limits{MaxIdleTime: time.Minute, KeepWarm: keep}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		if got := p.rulesOf(l, 1, conn.Generation).idleMost; got != want {
			t.Errorf("with KeepWarm %d a connection is too old to be lent after %d ns idle, not %d", keep, got, want)
		}
	}
}

func TestDeadConnectionIsShownAsNeitherIdleNorInUse(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	g := guard.Wrap(ours, guard.Options{})
	e := &entry[*num]{core: core{guard: g}}
	idle, _ := e.cell.Move(e.cell.Load(), conn.Idle, 0)
	inUse, _ := e.cell.Move(idle, conn.InUse, 1)
	if e.stateOf(idle) != conn.Idle || e.stateOf(inUse) != conn.InUse {
		t.Errorf("a living connection is shown as %v and %v", e.stateOf(idle), e.stateOf(inUse))
	}
	g.Abort(conn.Error)
	if e.stateOf(idle) != conn.Stale || e.stateOf(inUse) != conn.Stale {
		t.Errorf("a dead connection is shown as %v and %v", e.stateOf(idle), e.stateOf(inUse))
	}
}

func TestIdleListIsSortedByAge(t *testing.T) {
	p := newPlain(t, nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range []int64{30, 10, 20, 40, 20, 5} {
		e := &entry[*num]{pool: p}
		e.stamp.Store(at)
		p.insertLocked(e)
	}
	var got []int64
	for e := p.idle.head; e != nil; e = e.next {
		got = append(got, e.stamp.Load())
	}
	for i, want := range []int64{40, 30, 20, 20, 10, 5} {
		if got[i] != want {
			t.Fatalf("the idle list is in the order %v", got)
		}
	}
	p.idle = idleList[*num]{}
}

func TestPlannedCloseNeedsNoGuard(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	p, err := New(Config[net.Conn]{Dial: func(context.Context) (net.Conn, error) { return ours, nil }})
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := theirs.Read(make([]byte, 1)); err == nil {
		t.Error("the connection was not closed")
	}
}

func TestLivingConnectionThatRestedIsLentAgain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	d := &guard.Dialer{}
	p, err := New(Config[net.Conn]{Dial: func(ctx context.Context) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", listener.Addr().String())
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 2 {
		l, err := p.Acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
		for p.Snapshot()[0].Idle < 2*probeAfter { // past the time after which the kernel is asked
			<-time.NewTimer(time.Millisecond).C
		}
	}
	if n := p.Stats().Dials; n != 1 {
		t.Errorf("%d dials: a living connection that had rested was not lent", n)
	}
}

func TestPeerThatSaysFarewellAfterAPlannedCloseIsNotReset(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	saw := make(chan error, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			saw <- err
			return
		}
		defer c.Close()
		if _, err = c.Read(make([]byte, 1)); err == io.EOF {
			for range 2 { // a reset answers the first and is told by the second
				_, err = c.Write([]byte("farewell"))
			}
		}
		saw <- err
	}()
	d := &guard.Dialer{}
	p, err := New(Config[net.Conn]{Dial: func(ctx context.Context) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", listener.Addr().String())
	}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := <-saw; err != nil {
		t.Errorf("the peer said farewell after the end of the stream and saw: %v", err)
	}
}

// TestControlsUnderLoad has every control at work at once, for the race detector.
func TestControlsUnderLoad(t *testing.T) {
	answers := func(c *Config[*num]) { c.Ping = func(context.Context, *num) error { return nil } }
	calm := newPlain(t, func(c *Config[*num]) { // most rest, and each loan begins with a ping
		answers(c)
		c.Identity = func(_ context.Context, n *num) (string, error) { return fmt.Sprintf("%p", n), nil } // another server behind each
		c.Limits = Limits{MaxOpen: 6, MinIdle: 3, TestOnBorrow: true}
	})
	tight := newPlain(t, func(c *Config[*num]) { // most are turned away
		answers(c)
		c.Limits = Limits{MaxOpen: 1, MaxWaiters: 1, TestOnBorrow: true}
	})
	shared := newPlain(t, func(c *Config[*num]) {
		c.Shares = func(*num) int { return 2 }
		c.Limits.MaxOpen = 2
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				if l, err := tight.Acquire(context.Background()); err == nil {
					l.Release()
				}
				if l, ok := shared.TryAcquire(); ok {
					l.Release()
				}
			}
		})
	}
	for range 2 {
		all.Go(func() {
			for i := range 300 {
				l := take(t, calm)
				if i%10 == 0 {
					l.Discard(nil)
				}
				l.Release()
			}
		})
	}
	all.Go(func() {
		for range 100 {
			if _, err := calm.EvictStale(context.Background()); err != nil {
				t.Errorf("EvictStale: %v", err)
			}
			if err := calm.WarmUp(context.Background()); err != nil {
				t.Errorf("WarmUp: %v", err)
			}
			newPlain(t, func(c *Config[*num]) { c.Limits.MinIdle = 2 }) // one that begins to work while New is not over
		}
	})
	all.Wait()
	for _, p := range []*Pool[*num]{calm, tight, shared} {
		if s := p.Stats(); s.Leases != 0 || s.Open-s.Closing > p.Limits().MaxOpen {
			t.Errorf("%d leases and %d connections after all have returned theirs", s.Leases, s.Open-s.Closing)
		}
	}
}

// TestDeathsUnderLoad has guards tell of deaths while their connections come and go, for the race detector.
func TestDeathsUnderLoad(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			time.AfterFunc(500*time.Microsecond, func() { _ = c.Close() })
		}
	})
	d := &guard.Dialer{}
	p, err := New(Config[net.Conn]{Limits: Limits{MaxOpen: 8, MinIdle: 4}, Dial: func(ctx context.Context) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", listener.Addr().String())
	}})
	if err != nil {
		t.Fatal(err)
	}
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
				l, err := p.Acquire(context.Background())
				if err != nil {
					t.Errorf("Acquire: %v", err)
					return
				}
				l.Release()
			}
		})
	}
	users.Wait()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	_ = listener.Close()
	all.Wait()
}
