package guard_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// Options that cannot work are refused with a sentence that names the field, and moved to the nearest that can by Wrap.
func TestImpossibleOptionsAreRefused(t *testing.T) {
	for _, tc := range []struct {
		o     guard.Options
		field string
	}{
		{guard.Options{HeartbeatTimeout: time.Second}, "HeartbeatTimeout"},
		{guard.Options{HeartbeatTimeout: -1}, "HeartbeatTimeout"},
		{guard.Options{HeartbeatTimeout: 2 * time.Hour}, "HeartbeatTimeout"},
		{guard.Options{ProbeAfter: -1}, "ProbeAfter"},
		{guard.Options{ProbeAfter: 4 * time.Second}, "ProbeAfter"},
		{guard.Options{Multiplexed: true, EOFNeverClean: true}, "Multiplexed"},
		{guard.Options{Multiplexed: true, AmbiguousDeadlines: true}, "Multiplexed"},
		{guard.Options{Multiplexed: true, ImplicitBegin: true}, "Multiplexed"},
		{guard.Options{Multiplexed: true, ReadError: func(e *guard.AmbiguousError) error { return e }}, "Multiplexed"},
	} {
		err := tc.o.Check()
		if err == nil || !strings.Contains(err.Error(), tc.field) {
			t.Errorf("%+v: %v", tc.o, err)
		}
		d := guard.Dialer{Options: tc.o}
		if nc, derr := d.DialContext(t.Context(), "tcp", "127.0.0.1:1"); nc != nil || derr == nil || derr.Error() != err.Error() {
			t.Errorf("the dialer says %v, want %v", derr, err)
		}
		a, b := net.Pipe()
		g := guard.Wrap(a, tc.o)
		if alive := g.Alive(); alive != nil {
			t.Error(alive)
		}
		g.Close()
		b.Close()
	}
	d := guard.Dialer{Options: guard.Options{ListenKeepAlive: true}, Net: net.Dialer{KeepAlive: -1}}
	if _, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "ListenKeepAlive") {
		t.Errorf("ListenKeepAlive without keep-alive: %v", err)
	}
	for _, o := range []guard.Options{{}, guard.SQL, guard.Redis, guard.WAN, {Multiplexed: true}, {HeartbeatTimeout: guard.MinHeartbeatTimeout}} {
		if err := o.Check(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// A dial never takes longer than its context, nor than HeartbeatTimeout.
func TestDialIsBounded(t *testing.T) {
	ln := listen(t, "tcp", "127.0.0.1:0")
	var left time.Duration
	d := guard.Dialer{Net: net.Dialer{ControlContext: func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
		if end, ok := ctx.Deadline(); ok {
			left = time.Until(end)
		}
		return nil
	}}}
	nc := must(d.DialContext(t.Context(), "tcp", ln.Addr().String()))
	nc.Close()
	if left <= 0 || left > guard.DefaultHeartbeatTimeout {
		t.Errorf("dialled with %v left, want at most %v", left, guard.DefaultHeartbeatTimeout)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if nc, err := d.DialContext(ctx, "tcp", ln.Addr().String()); err == nil {
		nc.Close()
		t.Error("dialled under a context that had ended")
	}
	for _, dial := range []func() (net.Conn, error){
		func() (net.Conn, error) { return d.Dial("tcp", ln.Addr().String()) },
		func() (net.Conn, error) { return d.DialTimeout("tcp", ln.Addr().String(), time.Second) },
		func() (net.Conn, error) { return d.DialTimeout("tcp", ln.Addr().String(), 0) },
	} {
		nc, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := guard.From(nc); !ok {
			t.Error("not guarded")
		}
		nc.Close()
	}
}

// A capture gives the one connection that is still open, and never one of several.
func TestCaptureCountsAConnectionThatIsGuardedTwiceOnce(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	ctx, captured := guard.WithCapture(t.Context())
	once := guard.WrapContext(ctx, near, guard.Options{})
	defer once.Close()
	if twice := guard.WrapContext(ctx, once, guard.Options{}); twice != once || captured.Conn() != once {
		t.Errorf("one connection, guarded twice, is %p and %p, and captured as %p", once, twice, captured.Conn())
	}
}

func TestCaptureFindsTheOneThatServes(t *testing.T) {
	ln := listen(t, "tcp", "127.0.0.1:0")
	ctx, captured := guard.WithCapture(t.Context())
	if captured.Conn() != nil {
		t.Error("captured something before anything was dialled")
	}
	var d guard.Dialer
	dial := func(ctx context.Context) net.Conn { return must(d.DialContext(ctx, "tcp", ln.Addr().String())) }
	first := dial(ctx)
	defer first.Close()
	g, _ := guard.From(first)
	if captured.Conn() != g {
		t.Error("the one connection was not captured")
	}
	elsewhere := dial(t.Context())
	defer elsewhere.Close()
	if captured.Conn() != g {
		t.Error("a connection of another context was captured")
	}
	inner, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	second := dial(inner)
	if captured.Conn() != nil {
		t.Error("one of two was chosen")
	}
	first.Close()
	if g2, _ := guard.From(second); captured.Conn() != g2 {
		t.Error("the one left over was not found")
	}
	second.Close()
	if captured.Conn() != nil {
		t.Error("a closed connection was found")
	}
	a, b := net.Pipe()
	defer b.Close()
	own := guard.WrapContext(ctx, a, guard.Options{})
	defer own.Close()
	if captured.Conn() != own {
		t.Error("WrapContext did not report")
	}
}

// The registry knows what is open, by address, and forgets what was closed.
func TestRegistryKnowsWhatIsOpen(t *testing.T) {
	nc, g, _ := pair(t, guard.Options{})
	local, remote := nc.LocalAddr().String(), nc.RemoteAddr().String()
	if guard.Find(local, remote) != g || guard.Find(remote, local) != nil {
		t.Error("Find does not find by address")
	}
	live := guard.Live()
	if len(live) == 0 || live[len(live)-1] != g {
		t.Errorf("Live gives %d connections, the newest is not the last", len(live))
	}
	nc.Close()
	if guard.Find(local, remote) != nil {
		t.Error("a closed connection is found")
	}
	p1, p2 := net.Pipe()
	g1, g2 := guard.Wrap(p1, guard.Options{}), guard.Wrap(p2, guard.Options{})
	if guard.Find("pipe", "pipe") != nil {
		t.Error("one of two with the same addresses was chosen")
	}
	if g1.ID() >= g2.ID() {
		t.Errorf("ids %d, %d do not grow", g1.ID(), g2.ID())
	}
	g1.Close()
	g2.Close()
}

// A connection that was forgotten without Close is collected and closed, as without a guard.
func TestForgottenConnectionIsCollected(t *testing.T) {
	ln := listen(t, "tcp", "127.0.0.1:0")
	var d guard.Dialer
	id := func() uint64 {
		g, _ := guard.From(must(d.DialContext(context.Background(), "tcp", ln.Addr().String())))
		g.Write([]byte("asked, never read"))
		return g.ID()
	}()
	s := must(ln.Accept())
	defer s.Close()
	eventually(t, "the connection is collected", func() bool {
		runtime.GC()
		for _, g := range guard.Live() {
			if g.ID() == id {
				return false
			}
		}
		return true
	})
	s.SetReadDeadline(time.Now().Add(5 * time.Second))
	eventually(t, "the peer sees the end", func() bool {
		runtime.GC()
		_, err := io.ReadAll(s)
		return err == nil || isReset(err)
	})
}

// The name of the pool stands in the record of the death.
func TestPoolNameStandsInTheDeath(t *testing.T) {
	_, g, _ := pair(t, guard.Options{})
	g.SetPool("orders")
	g.Abort(conn.Evicted)
	if d, ok := g.Death(); !ok || d.Pool != "orders" || d.ID != g.ID() || d.Peer == "" || d.Phase != "idle" || d.Age <= 0 {
		t.Errorf("%+v %v", d, ok)
	}
}

// Info tells a person what is known, and asks nobody.
func TestInfoTellsWhatIsKnown(t *testing.T) {
	nc, g, s := pair(t, guard.Options{})
	g.SetPool("orders")
	ask(t, nc, s)
	i := g.Info()
	if i.ID != g.ID() || i.Pool != "orders" || i.Local == "" || i.Peer != s.LocalAddr().String() || i.Waiting <= 0 || i.Dead || i.Cause != conn.None {
		t.Errorf("asked: %+v", i)
	}
	answer(t, nc, s)
	g.Condemn(conn.MaxIdle)
	if i = g.Info(); i.Waiting != 0 || i.Dead || i.Cause != conn.MaxIdle {
		t.Errorf("condemned: %+v", i)
	}
	nc.Close()
	if i = g.Info(); !i.Dead || i.Cause != conn.MaxIdle {
		t.Errorf("closed: %+v", i)
	}
}
