package guard_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// Delivery says Answered only when somebody said where the exchange began.
func TestDeliveryOfAnExchange(t *testing.T) {
	nc, g, s := pair(t, guard.Options{})
	check := func(when string, want conn.Delivery) {
		t.Helper()
		if got := g.Delivery(); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	check("new", conn.NothingSent)
	ask(t, nc, s)
	check("asked", conn.MaybeSent)
	answer(t, nc, s)
	check("answered, without Begin", conn.MaybeSent)
	g.Begin()
	check("Begin", conn.NothingSent)
	ask(t, nc, s)
	check("asked", conn.MaybeSent)
	answer(t, nc, s)
	check("answered", conn.Answered)
	ask(t, nc, s)
	check("asked again", conn.MaybeSent)
}

// A condemned connection is not lent, and works on for whoever has it.
func TestCondemnTakesEffectAtBorrow(t *testing.T) {
	nc, g, s := pair(t, guard.SQL)
	if _, ok := g.Condemned(); ok || g.Alive() != nil {
		t.Fatal("condemned from the start")
	}
	g.Condemn(conn.Generation)
	g.Condemn(conn.MaxIdle)
	if cause, ok := g.Condemned(); !ok || cause != conn.Generation {
		t.Errorf("condemned by %v %v, want the first cause", cause, ok)
	}
	quiet()
	ask(t, nc, s)
	answer(t, nc, s)
	wantDead(t, g.Alive(), conn.Generation, false)
	if g.Dead() {
		t.Error("condemned is not dead")
	}
	nc.Close()
	if d, _ := g.Death(); d.Cause != conn.Generation {
		t.Errorf("death %v", d)
	}
}

func TestAnswerToAGoodbyeIsNoDeathOfItsOwn(t *testing.T) {
	nc, g, s := pair(t, guard.SQL)
	dead := make(chan conn.Death, 1)
	g.OnDeath(func(d conn.Death) { dead <- d })
	g.Retire(conn.MaxIdle)
	if _, err := nc.Write([]byte("quit")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // with bytes unread: a RST
		t.Fatal(err)
	}
	if _, err := nc.Read(make([]byte, 1)); err == nil {
		t.Error("the peer has closed, and it is read from")
	}
	if d := <-dead; d.Cause != conn.MaxIdle || d.Errno != 0 {
		t.Errorf("the peer closed because it was told goodbye: %v, want %v", d, conn.MaxIdle)
	}
}

// OnDeath is called exactly once, for every way to die, also when it comes late.
func TestOnDeathIsCalledOnce(t *testing.T) {
	for name, end := range map[string]func(nc net.Conn, g *guard.Conn, s *net.TCPConn){
		"peer":     func(nc net.Conn, _ *guard.Conn, s *net.TCPConn) { s.Close(); readByte(nc) },
		"abort":    func(_ net.Conn, g *guard.Conn, _ *net.TCPConn) { g.Abort(conn.Heartbeat) },
		"close":    func(nc net.Conn, _ *guard.Conn, _ *net.TCPConn) { nc.Close() },
		"shutdown": func(_ net.Conn, g *guard.Conn, s *net.TCPConn) { s.Close(); g.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			nc, g, s := pair(t, guard.Options{})
			var early, late, removed atomic.Int32
			g.OnDeath(func(conn.Death) { removed.Add(1) })
			g.OnDeath(nil)
			g.OnDeath(func(conn.Death) { early.Add(1) })
			end(nc, g, s)
			eventually(t, "OnDeath is called", func() bool { return early.Load() > 0 })
			g.OnDeath(func(conn.Death) { late.Add(1) })
			g.Abort(conn.Error)
			nc.Close()
			if early.Load() != 1 || late.Load() != 1 || removed.Load() != 0 {
				t.Errorf("called %d times, %d times late, %d times after removal; want 1, 1, 0", early.Load(), late.Load(), removed.Load())
			}
		})
	}
}

// Abort ends a blocked read at once, and tells the reader why.
func TestAbortEndsABlockedRead(t *testing.T) {
	nc, g, s := pair(t, guard.Options{})
	ask(t, nc, s)
	read := make(chan error, 1)
	go func() { read <- readByte(nc) }()
	readBlocks(t)
	start := time.Now()
	g.Abort(conn.Heartbeat)
	wantAmbiguous(t, <-read, conn.Heartbeat, 0)
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
	s.SetReadDeadline(time.Now().Add(5 * time.Second))
	if err := readByte(s); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer sees %v, want a reset: it need not wait for us", err)
	}
	if err := nc.Close(); err != nil {
		t.Errorf("Close after Abort: %v", err)
	}
}

// A connection that we ended by our own decision refuses as net.ErrClosed; one that failed does not.
func TestRefusalAfterAbort(t *testing.T) {
	for _, cause := range []conn.Cause{conn.Evicted, conn.Heartbeat} {
		nc, g, _ := pair(t, guard.Options{})
		g.Abort(cause)
		_, err := nc.Write([]byte("x"))
		wantDead(t, err, cause, true)
		wantDead(t, readByte(nc), cause, true)
	}
}

// Shutdown does not wait for a peer that never closes, nor for one that never stops.
func TestShutdownIsBounded(t *testing.T) {
	t.Run("silent peer, context", func(t *testing.T) {
		_, g, _ := pair(t, guard.SQL)
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := g.Shutdown(ctx); err != nil || time.Since(start) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
	t.Run("endless peer", func(t *testing.T) {
		_, g, s := pair(t, guard.SQL)
		var wg sync.WaitGroup
		wg.Go(func() {
			for b := bytes.Repeat([]byte("x"), 1<<16); ; {
				if _, err := s.Write(b); err != nil {
					return
				}
			}
		})
		start := time.Now()
		err := g.Shutdown(context.Background())
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		wg.Wait()
	})
}

// Close, Abort, Shutdown, the peer's end and the watcher may race: one wins, nothing hangs, the death is told of once.
func TestRacingEnds(t *testing.T) {
	ln := listen(t, "tcp", "127.0.0.1:0")
	for range 200 {
		nc, g, s := dialTo(t, ln, guard.SQL)
		var told atomic.Int32
		g.OnDeath(func(conn.Death) { told.Add(1) })
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		start := make(chan struct{})
		var wg sync.WaitGroup
		for _, f := range []func(){
			func() { nc.Close() },
			func() { g.Abort(conn.Heartbeat) },
			func() { g.Shutdown(ctx) },
			func() { reset(t, s.(*net.TCPConn)) },
			func() { nc.Write([]byte("x")); readByte(nc) },
			func() { g.Alive(); g.Condemn(conn.Evicted); g.Begin() },
			func() { g.Capabilities(); guard.Live(); guard.Find("", "") },
		} {
			wg.Go(func() { <-start; f() })
		}
		close(start)
		wg.Wait()
		cancel()
		if told.Load() != 1 || !g.Dead() {
			t.Fatalf("told of %d times, dead %v", told.Load(), g.Dead())
		}
	}
	if n := len(guard.Live()); n != 0 {
		t.Errorf("%d connections still registered", n)
	}
}

// A write of nothing begins no exchange, and is no reason to wait for an answer.
func TestWriteOfNothingIsNoRequest(t *testing.T) {
	nc, g, _ := pair(t, guard.SQL)
	g.Begin()
	if n, err := nc.Write(nil); n != 0 || err != nil || g.Delivery() != conn.NothingSent {
		t.Errorf("%d, %v, %v", n, err, g.Delivery())
	}
}
