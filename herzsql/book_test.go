package herzsql

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

func TestDeathsAreKeptNewestFirst(t *testing.T) {
	var r deathRing
	if got := r.newest(); len(got) != 0 {
		t.Errorf("%d deaths of nobody", len(got))
	}
	for id := range uint64(300) {
		r.push(conn.Death{ID: id})
		got := r.newest()
		if want := min(int(id)+1, 128); len(got) != want || got[0].ID != id || got[len(got)-1].ID != id+1-uint64(want) {
			t.Fatalf("after %d deaths: %d kept, from %d to %d", id+1, len(got), got[0].ID, got[len(got)-1].ID)
		}
	}
}

func TestNumberOfIdleBareConnectionsIsDatabaseSQLs(t *testing.T) {
	infos := []pool.ConnInfo{
		{ID: 1, State: conn.InUse, Held: 5 * time.Second},
		{ID: 2, State: conn.Stale},
		{ID: 3, State: conn.InUse, Held: time.Second},
		{ID: 4, State: conn.InUse, Held: 9 * time.Second},
	}
	guessIdle(infos, 1)
	for _, i := range infos {
		want := map[uint64]conn.State{1: conn.Idle, 2: conn.Stale, 3: conn.InUse, 4: conn.Idle}[i.ID]
		if i.State != want || (want == conn.Idle) != (i.Idle > 0) {
			t.Errorf("connection %d is %v, idle for %v", i.ID, i.State, i.Idle)
		}
	}
}

func TestRefusalSaysWhetherTheWorkMayBeRepeated(t *testing.T) {
	for _, safe := range []bool{false, true} {
		err := error(&refusal{reason: &ended{conn.Death{ID: 7, Cause: conn.PeerFIN}}, safe: safe})
		if !errors.Is(err, driver.ErrBadConn) || !errors.Is(err, guard.ErrDead) || guard.SafeToRetry(err) != safe {
			t.Errorf("%v: safe %v", err, guard.SafeToRetry(err))
		}
	}
}

func TestDialAfterAFailedPingFitsIntoOneBudget(t *testing.T) {
	l := &pool.Limits{HeartbeatTimeout: 3200 * time.Millisecond}
	b := newBook(&settings{}, *l, false)
	if got := b.dialBudget(l); got <= 3*time.Second || got >= l.HeartbeatTimeout {
		t.Errorf("a dial alone gets %v", got)
	}
	b.lastPingFailure.Store(b.now() + 1)
	if got := pingBudget(l) + b.dialBudget(l); pingBudget(l) != time.Second || got >= l.HeartbeatTimeout {
		t.Errorf("ping %v and dial get %v", pingBudget(l), got)
	}
}

func TestSuspicionIsOfOneAddressAndOfTheTimeBefore(t *testing.T) {
	b := newBook(&settings{}, pool.Limits{}, false)
	old, young, other := &entry{peer: "a"}, &entry{peer: "a"}, &entry{peer: "b"}
	old.heard.Store(5)
	young.heard.Store(15)
	b.suspect("a", 10)
	if !b.suspected(old) || b.suspected(young) || b.suspected(other) || b.suspected(&entry{}) {
		t.Error("the wrong connections are suspect")
	}
	b.suspect("a", 7)
	if !b.suspected(&entry{peer: "a"}) || !b.suspected(old) {
		t.Error("an older failure undid a newer one")
	}
	for i := range 3 * maxSuspects {
		b.suspect(string(rune('c'+i)), 1)
	}
	if len(b.suspects) > maxSuspects {
		t.Errorf("%d addresses are remembered", len(b.suspects))
	}
}

// Only a preset that says nothing of it would let a driver such as lib/pq repeat a statement whose answer ended in its middle.
func TestAnswersOfDatabasesNeverEndByTheEndOfTheConnection(t *testing.T) {
	for _, o := range []guard.Options{{}, guard.WAN, guard.SQL} {
		s, err := newSettings("orders", []Option{WithGuard(o)})
		if err != nil {
			t.Fatal(err)
		}
		if !s.guard.EOFNeverClean {
			t.Errorf("with %+v a lost answer is a clean end", o)
		}
	}
}

// stubborn is a driver's connection that does not look at contexts.
type stubborn struct{ driver.Conn }

func TestQuestionAfterARefusedWriteIsBoundedWhateverTheDriverDoes(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	g := guard.Wrap(near, guard.Options{})
	p := &phys{inner: stubborn{}, g: g, server: &Server{Name: "db1"}, who: "db1 (writable)"}
	c := &pooled{start: time.Now(), asker: asker{ask: func(context.Context, any) (Server, error) {
		for !g.Dead() {
			runtime.Gosched()
		}
		return Server{}, errors.New("closed")
	}}}
	l := &leaseConn{wrapped: wrapped{inner: p.inner, g: g}, of: c, phys: p}
	over := make(chan struct{})
	go func() { defer close(over); c.judge(l) }()
	limit := time.NewTimer(5 * time.Second)
	defer limit.Stop()
	select {
	case <-over:
	case <-limit.C:
		g.Abort(conn.Timeout)
		t.Fatal("a server that does not answer held the return of a connection for five seconds")
	}
	if !l.bad {
		t.Error("a connection whose server does not answer goes back to the pool")
	}
}

func TestDialThatTheCallersTimeEndedSaysSo(t *testing.T) {
	caller, cancel := context.WithDeadline(context.Background(), time.Now().Add(time.Millisecond))
	defer cancel()
	dial, end := context.WithTimeout(caller, time.Hour)
	defer end()
	late := &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded} // of the socket, which had the same deadline
	err := dialError(caller, dial, time.Hour, late)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, late) {
		t.Errorf("the caller reads %v, from which he cannot tell that his time was over", err)
	}
	if err := dialError(context.Background(), dial, time.Hour, late); errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody's time was over, and the error is %v", err)
	}
}
