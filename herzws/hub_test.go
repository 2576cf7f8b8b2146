package herzws

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unique"

	"github.com/gobwas/ws"

	"herz.example/herz/conn"
)

// A process that stood still for 25 of the 40 s has not asked yet: the peer is asked, and has the whole grace for its answer.
func TestPeerThatWasNotAskedBecauseTheProcessStoodStillHasTheWholeGrace(t *testing.T) {
	for _, asked := range []bool{false, true} {
		ours, theirs := net.Pipe()
		h := &hub{
			interval: 30 * time.Second, grace: 10 * time.Second, closeTimeout: 5 * time.Second, queueBytes: DefaultQueueBytes, counts: new(counters),
			born: time.Now().Add(-time.Hour),
		}
		c := newPortable(h, theirs)
		now := h.now()
		last := int64(now - 45*time.Second)
		c.seen.Store(last)
		if asked {
			c.pinged = last
		}
		h.conns, h.due, h.open = []*Conn{c}, []time.Duration{now - time.Second}, 1
		h.round(now, true)
		_ = ours.SetDeadline(time.Now().Add(patience))
		if f, err := ws.ReadHeader(bufio.NewReader(ours)); err != nil || f.OpCode != ws.OpPing {
			t.Errorf("asked before: %v; it is not asked: %+v, %v", asked, f, err)
		}
		if c.dead.Load() || h.due[0] != now+h.grace {
			t.Errorf("asked before: %v; it is looked at again %v later", asked, h.due[0]-now)
		}
		if now += h.grace - time.Millisecond; c.look(now, false) != now+time.Millisecond || c.dead.Load() {
			t.Error("it is ended before the grace is over")
		}
		if c.look(now+time.Millisecond, false); !c.dead.Load() || c.why.Cause != conn.Heartbeat {
			t.Errorf("after the grace: %v", c.why)
		}
		_, _ = io.Copy(io.Discard, ours) // the flusher ends
		_ = ours.Close()
	}
}

// To wake up for each ping costs more than the ping: those that are due soon leave with the first. An end that is due soon is not early.
func TestPingsThatAreDueSoonLeaveWithTheFirst(t *testing.T) {
	h := &hub{
		interval: 32 * time.Second, grace: 10 * time.Second, closeTimeout: 5 * time.Second, queueBytes: DefaultQueueBytes, counts: new(counters),
		born: time.Now().Add(-time.Hour),
	}
	now := h.now()
	for i, rest := range []time.Duration{0, 2 * time.Second, 2*time.Second + 1} {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go func() { _, _ = io.Copy(io.Discard, ours) }() // until Close
		c := newPortable(h, theirs)
		c.slot = uint32(i) //nolint:gosec // small
		c.seen.Store(int64(now + rest - h.interval))
		h.conns, h.due, h.open = append(h.conns, c), append(h.due, now+rest), i+1
	}
	h.round(now, false)
	if n := h.counts.pings.Load(); n != 2 || h.conns[2].pinged != 0 {
		t.Errorf("%d pings left with the first; that which is due %v later: %v", n-1, h.due[2]-now, h.conns[2].pinged != 0)
	}
	if h.due[0] != now+h.grace || h.due[1] != now+h.grace+2*time.Second || h.due[2] != now+2*time.Second+1 {
		t.Errorf("they are looked at again in %v, %v and %v", h.due[0]-now, h.due[1]-now, h.due[2]-now)
	}

	last := h.conns[0]
	end := h.due[0]
	if h.round(end-time.Second, false); last.dead.Load() || h.due[0] != end {
		t.Errorf("ended early: %v; it is looked at again %v before its end", last.dead.Load(), end-h.due[0])
	}
	if h.round(end, false); !last.dead.Load() || last.why.Cause != conn.Heartbeat {
		t.Errorf("at its end: %v", last.why)
	}
	for _, c := range h.conns {
		c.abort(&CloseError{Code: CodeAbnormal}) // so that what writes to it ends
	}
}

func TestClosingIsNotCutAtOnceWhenTheProcessStoodStill(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	h := &hub{interval: 30 * time.Second, grace: 10 * time.Second, closeTimeout: 5 * time.Second, counts: new(counters), born: time.Now().Add(-time.Hour)}
	c := newPortable(h, theirs)
	now := h.now()
	c.got = true // so that it is closing, and nothing is written
	c.leaveLocked().closeBy = now - 20*time.Second
	if due := c.look(now, true); due != now+h.closeTimeout || c.dead.Load() {
		t.Errorf("it is looked at again %v later, cut: %v", due-now, c.dead.Load())
	}
	if c.look(now+h.closeTimeout, false); !c.dead.Load() {
		t.Error("it is never cut")
	}
}

func TestShutdownIsNotTakenBackByAFlip(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	h := &hub{counts: new(counters), born: time.Now()}
	c := newPortable(h, theirs)
	c.drainBy(CodeGoingAway, time.Hour)
	c.undrain()
	if l := c.timesLocked(); l.drainAt != time.Hour || l.drain != CodeGoingAway {
		t.Errorf("%+v", l)
	}
	c.drainBy(CodeServiceRestart, time.Minute)
	c.undrain()
	if l := c.timesLocked(); l.drainAt != 0 {
		t.Errorf("a flip that is taken back: %+v", l)
	}
}

// Whoever flips last decides about every connection, however the flips before it overlap.
func TestLastOfManyFlipsDecidesAboutAll(t *testing.T) {
	s := &Server{Config: Config{Spread: 24 * time.Hour}}
	s.start()
	all := make([]*Conn, 300) // of which the sweep knows nothing
	for i := range all {
		all[i] = &Conn{hub: s.hub, fd: -1, slot: uint32(i), class: unique.Make("/ws")} //nolint:gosec // small
		s.hub.conns, s.hub.due = append(s.hub.conns, all[i]), append(s.hub.due, 1<<62)
	}
	for round := range 500 {
		var flips sync.WaitGroup
		for range 4 {
			flips.Go(func() {
				for n := range 4 {
					s.sw.SetEnableLegacyKeepAlive(n%2 == 1)
				}
			})
		}
		flips.Wait()
		for i, c := range all {
			if c.timesLocked().drainAt == 0 {
				t.Fatalf("round %d: the switch is on, and connection %d stays a WebSocket", round, i)
			}
		}
	}
}

// Who finds a connection by the name of its device may ask it for that name, however new it is; the race detector looks on.
func TestConnectionIsFoundByItsNameWithoutARace(t *testing.T) {
	s := new(Server)
	s.start()
	for range 200 {
		c := &Conn{hub: s.hub, fd: -1, class: unique.Make("/ws")}
		var hands sync.WaitGroup
		hands.Go(func() { s.register(c, "meter-1") })
		hands.Go(func() {
			for {
				if d, ok := s.devices.Load("meter-1"); ok && d.conn == c {
					if name := c.Device(); name != "" && name != "meter-1" {
						t.Errorf("its name is %q", name)
					}
					return
				}
				runtime.Gosched()
			}
		})
		hands.Wait()
	}
}

// standStill moves the clock of a hub whose sweep waits, as if the process had stood still, and wakes the sweep.
func standStill(h *hub, d time.Duration) {
	synctest.Wait()
	h.born = h.born.Add(-d)
	h.nudge()
}

// When the process goes on, its first deed may be one that wakes the sweep: Shutdown, for the SIGTERM that came meanwhile.
func TestPeerIsNotCutWhenTheSweepIsWokenAfterTheProcessStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		h := &hub{
			interval: 30 * time.Second, grace: 10 * time.Second, closeTimeout: 5 * time.Second, queueBytes: DefaultQueueBytes, counts: new(counters),
			born: time.Now().Add(-time.Hour),
		}
		c := newPortable(h, theirs)
		h.add(c)
		standStill(h, time.Minute)
		if f, err := ws.ReadHeader(bufio.NewReader(ours)); err != nil || f.OpCode != ws.OpPing {
			t.Errorf("%+v, %v", f, err)
		}
		time.Sleep(h.grace - time.Second)
		if c.dead.Load() {
			t.Errorf("ended: %v", c.why)
		}
		c.abort(&CloseError{Code: CodeAbnormal})
		h.remove(c)
	})
}

func TestLegacyDevicesDoNotExpireBecauseTheProcessStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Config: Config{Logger: slog.New(slog.DiscardHandler)}}
		s.start()
		if !s.beat("meter-1", "", "10.0.0.1:1") {
			t.Fatal("it is not taken")
		}
		own, _ := s.devices.Find("meter-1")
		own.Update(func(d device) device { d.seen = d.seen.Add(-time.Minute); return d })
		standStill(s.hub, time.Minute)
		known := func() bool { synctest.Wait(); return s.legacy.Load() == 1 }
		time.Sleep(DefaultInterval + DefaultGrace - time.Second)
		if !known() {
			t.Error("it expired before it had its whole time again")
		}
		time.Sleep(DefaultInterval)
		if known() {
			t.Error("it never expires")
		}
	})
}

// The sweep looks at a connection at the very moment at which its callback returns.
func TestPeerIsNotFoundSilentWhenItsCallbackReturns(t *testing.T) {
	h := &hub{
		interval: 30 * time.Second, grace: 10 * time.Second, closeTimeout: 5 * time.Second, queueBytes: DefaultQueueBytes, counts: new(counters),
		born: time.Now().Add(-time.Hour), onMessage: func(*Conn, Kind, []byte) {},
	}
	now := h.now()
	for n := range 200_000 {
		c := &Conn{hub: h, fd: -1}
		c.turn.Store(turnOwned) // so that nobody is asked to end it
		c.seen.Store(int64(now - time.Minute))
		c.busy.Store(true)
		var hands sync.WaitGroup
		hands.Go(func() { c.deliver(event{op: ws.OpText}) })
		c.listen(now)
		hands.Wait()
		if c.dead.Load() {
			t.Fatalf("connection %d: %v", n, c.why)
		}
	}
}

// Others find a connection by the name of its device a little before it has its place in the table, and may close it.
func TestConnectionThatIsClosedBeforeItHasItsPlaceIsCutInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Config: Config{Logger: slog.New(slog.DiscardHandler)}}
		s.start()
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, ours); _ = ours.Close() }() // who does not answer
		c := newPortable(s.hub, theirs)
		c.Close(CodeNormal, "")
		synctest.Wait() // the Close frame is written
		s.taken.Add(1)
		s.open(c, asker{device: "meter-1", class: "/ws"}, nil)
		time.Sleep(DefaultCloseTimeout + time.Second)
		if n := s.hub.len(); n != 0 {
			t.Error("it is still there")
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestIntervalThatAServerAsksForIsKeptWithinItsBounds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "30": 30 * time.Second, "9223372037": mostEvery, "36893488147": mostEvery, "9223372036854775807": mostEvery, "1ns": leastEvery,
		"0": 0, "-1": 0, "-9223372037": 0, "-9223372036854775808": 0, "99999999999999999999": 0, "soon": 0, "": 0,
	} {
		every, ok := legacyAnswer(&http.Response{StatusCode: http.StatusOK, Header: http.Header{HeaderInterval: {text}}})
		if ok != (want > 0) || ok && every != want {
			t.Errorf("%q is taken as %v, %v", text, every, ok)
		}
	}
}
