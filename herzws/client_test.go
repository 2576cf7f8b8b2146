package herzws_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzws"
)

func TestClientSendsAndReceives(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		_, addr := serve(t, echo(e))
		got := make(chan string, 1)
		c, err := herzws.Dial(soon(t), herzws.ClientConfig{
			URL: "ws://" + addr + "/ws", Logger: quiet(), OnMessage: func(_ herzws.Kind, b []byte) { got <- string(b) },
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			m := strconv.Itoa(i)
			if err := c.Send(soon(t), herzws.Text, []byte(m)); err != nil {
				t.Fatal(err)
			}
			if back := <-got; back != m {
				t.Fatalf("%q came back for %q", back, m)
			}
		}
		eventually(t, "its state", func() bool { return c.Mode() == herzws.V2 })
		if err := c.Close(soon(t)); err != nil {
			t.Error(err)
		}
		if st := c.Stats(); st.Sent != 200 || st.Received != 200 || st.Connects != 1 {
			t.Errorf("%+v", st)
		}
		if err := c.Send(soon(t), herzws.Text, nil); !errors.Is(err, herzws.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestClientIsTheOneThatMasks(t *testing.T) {
	p, c := playServer(t, herzws.ClientConfig{})
	var masks [2][4]byte
	for i := range masks {
		if err := c.Send(soon(t), herzws.Text, []byte("same")); err != nil {
			t.Fatal(err)
		}
		f, err := readFrame(p.br)
		if err != nil || !f.Header.Masked || string(ws.UnmaskFrame(f).Payload) != "same" {
			t.Fatalf("%+v, %v", f.Header, err)
		}
		masks[i] = f.Header.Mask
	}
	if masks[0] == masks[1] {
		t.Error("the same mask came twice (RFC 6455, section 5.3)")
	}
}

func TestClientConnectsAgainWhenTheConnectionBreaks(t *testing.T) {
	s, addr := serve(t, echo(herzws.Auto))
	var mu sync.Mutex
	var modes []herzws.Mode
	c, err := herzws.Dial(soon(t), herzws.ClientConfig{
		URL: "ws://" + addr + "/ws", Logger: quiet(), Backoff: 10 * time.Millisecond,
		OnState: func(m herzws.Mode, _ error) {
			mu.Lock()
			defer mu.Unlock()
			modes = append(modes, m)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		eventually(t, "the connection", func() bool { return c.Mode() == herzws.V2 && s.Stats().Conns == 1 })
		s.Conns()[0].Close(herzws.CodeGoingAway, "")
		eventually(t, "the loss", func() bool { return c.Stats().Lost == uint64(i+1) })
	}
	eventually(t, "the connection", func() bool { return c.Mode() == herzws.V2 })
	if err := c.Send(soon(t), herzws.Text, []byte("again")); err != nil {
		t.Error(err)
	}
	if err := c.Close(soon(t)); err != nil {
		t.Error(err)
	}
	if len(modes) != 8 || modes[0] != herzws.V2 || modes[1] != 0 || modes[7] != 0 {
		t.Errorf("%v", modes)
	}
}

func TestClientLeavesAServerInPeaceThatTakesItAndEndsItAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &herzws.Server{Config: herzws.Config{
			Logger: quiet(), Spread: -1, OnOpen: func(c *herzws.Conn) { c.Close(herzws.CodeTryAgainLater, "full") },
		}}
		l := newPipes()
		web := &http.Server{Handler: s} //nolint:gosec // a test
		go func() { _ = web.Serve(l) }()
		c, err := herzws.Dial(context.Background(), herzws.ClientConfig{
			URL: "ws://pipe/ws", Logger: quiet(), NetDial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				l.accept <- theirs
				return ours, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := c.Stats().Connects; n < 3 || n > 40 {
			t.Errorf("it came %d times in a minute", n)
		}
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		_ = web.Close()
	})
}

func TestClientFindsASilentServer(t *testing.T) {
	ended := make(chan error, 1)
	p, _ := playServer(t, herzws.ClientConfig{
		Heartbeat: herzws.Heartbeat{Interval: 50 * time.Millisecond, Grace: 300 * time.Millisecond},
		OnState: func(m herzws.Mode, err error) {
			if m == 0 {
				ended <- err
			}
		},
	})
	p.expect("ping ")
	var why *herzws.CloseError
	if err := <-ended; !errors.As(err, &why) || why.Cause != conn.Heartbeat {
		t.Errorf("%v", err)
	}
}

func TestClientIsTurnedAwayWithTheAnswer(t *testing.T) {
	_, addr := serve(t, herzws.Config{Logger: quiet(), Limits: herzws.Limits{Conns: -1}})
	_, err := herzws.Dial(soon(t), herzws.ClientConfig{URL: "ws://" + addr + "/ws"})
	var no *herzws.HandshakeError
	if !errors.As(err, &no) || no.Status != http.StatusServiceUnavailable || no.RetryAfter != 5*time.Second {
		t.Errorf("%v", err)
	}
	for _, bad := range []herzws.ClientConfig{{}, {URL: "http://x/"}, {URL: "ws://"}, {URL: "ws://x/", Guard: guard.Options{HeartbeatTimeout: 1}}} {
		if _, err := herzws.Dial(soon(t), bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// The legacy mode of a client: HEAD at the pace that the server gives, all over one connection, until the server takes WebSockets again.
func TestClientFollowsTheServerIntoLegacyModeAndBack(t *testing.T) {
	var mu sync.Mutex
	heads := map[string]int{}
	s := &herzws.Server{Config: herzws.Config{Logger: quiet(), Spread: -1, Heartbeat: herzws.Heartbeat{Interval: 20 * time.Millisecond, Grace: 2 * time.Second}}}
	pipeline := s.Handler(nil)
	addr := listen(t, s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			mu.Lock()
			heads[r.RemoteAddr]++
			mu.Unlock()
		}
		pipeline.ServeHTTP(w, r)
	}))
	s.Switch().SetEnableLegacyKeepAlive(true)
	c, err := herzws.Dial(soon(t), herzws.ClientConfig{URL: "ws://" + addr + "/ws", Device: "meter-1", Class: "meter", Logger: quiet(), Backoff: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "ten heartbeats", func() bool { return c.Stats().Heartbeats >= 10 })
	if d, ok := s.Device("meter-1"); !ok || d.Mode != herzws.Legacy || d.Class != "meter" || c.Mode() != herzws.Legacy {
		t.Errorf("%+v", d)
	}
	if err := c.Send(soon(t), herzws.Text, nil); !errors.Is(err, herzws.ErrLegacy) {
		t.Errorf("a message in legacy mode: %v", err)
	}
	mu.Lock()
	if len(heads) != 1 {
		t.Errorf("the heartbeats came over %d connections", len(heads))
	}
	mu.Unlock()
	s.Switch().SetEnableLegacyKeepAlive(false)
	eventually(t, "the WebSocket", func() bool { return c.Mode() == herzws.V2 })
	eventually(t, "its entry as a WebSocket", func() bool { // made when the client has the answer already
		d, ok := s.Device("meter-1")
		return ok && d.Mode == herzws.V2 && s.Stats().Legacy == 0
	})
	s.Switch().SetEnableLegacyKeepAlive(true)
	eventually(t, "legacy mode", func() bool { return c.Mode() == herzws.Legacy })
	if err := c.Close(soon(t)); err != nil {
		t.Error(err)
	}
}

func TestClientWithoutANameTakesOnePlaceInLegacyMode(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet(), Limits: herzws.Limits{Legacy: 1}})
	s.Switch().SetEnableLegacyKeepAlive(true)
	c, err := herzws.Dial(soon(t), herzws.ClientConfig{URL: "ws://" + addr + "/ws", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a heartbeat", func() bool { return c.Stats().Heartbeats >= 1 })
	if st := s.Stats(); st.Legacy != 1 || st.Refused != 0 {
		t.Errorf("%+v", st)
	}
	if err := c.Close(soon(t)); err != nil {
		t.Error(err)
	}
}

func TestClientInLegacyModeProbesBack(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet(), Failing: herzws.Failing{Threshold: 1, LegacyFor: 300 * time.Millisecond}})
	send(t, request(addr, "X-Device-Id: meter-1", "Sec-WebSocket-Key: short"), addr)
	c, err := herzws.Dial(soon(t), herzws.ClientConfig{
		URL: "ws://" + addr + "/ws", Device: "meter-1", Logger: quiet(), ProbeEvery: 50 * time.Millisecond,
		Heartbeat: herzws.Heartbeat{Interval: 50 * time.Millisecond, Grace: 2 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "legacy mode", func() bool { return c.Mode() == herzws.Legacy })
	eventually(t, "the WebSocket", func() bool { return c.Mode() == herzws.V2 && s.Stats().FailingBack == 1 })
	if err := c.Close(soon(t)); err != nil {
		t.Error(err)
	}
}

func TestSupervisionEndsWithTheFirstPingThatIsNotAnswered(t *testing.T) {
	var pings atomic.Int64
	h := herzws.Heartbeat{Interval: time.Millisecond, Grace: 50 * time.Millisecond}
	err := herzws.Supervise(context.Background(), func(ctx context.Context) error {
		if pings.Add(1) < 3 {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}, h)
	if !errors.Is(err, context.DeadlineExceeded) || pings.Load() != 3 {
		t.Errorf("after %d pings: %v", pings.Load(), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = herzws.Supervise(ctx, func(context.Context) error { cancel(); return errors.New("cut") }, h)
	if err != nil {
		t.Errorf("an end that was asked for is an error: %v", err)
	}
}

// pongConn is a connection of gorilla/websocket whose pongs come before WriteControl returns: one that nobody asked for, and the answer.
type pongConn struct {
	pong func(string) error
	mute bool // the answer is to come later
	data string
}

func (c *pongConn) SetPongHandler(h func(string) error) { c.pong = h }

func (c *pongConn) WriteControl(_ int, data []byte, _ time.Time) error {
	c.data = string(data)
	if c.mute {
		return nil
	}
	return errors.Join(c.pong("unasked"), c.pong(c.data))
}

func TestPongThatNobodyAskedForDoesNotHideTheAnswer(t *testing.T) {
	c := new(pongConn)
	answer := herzws.GorillaPing(c)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := answer(ctx); err != nil {
		t.Errorf("the answer was not seen: %v", err)
	}
	c.mute = true
	over, stop := context.WithCancel(context.Background())
	stop()
	if err := answer(over); !errors.Is(err, context.Canceled) {
		t.Errorf("a ping without an answer: %v", err)
	}
	_ = c.pong(c.data) // too late
	c.mute = false
	if err := answer(ctx); err != nil {
		t.Errorf("the answer behind one that came too late was not seen: %v", err)
	}
}

// slowConn writes nothing more once it is shut, until it is opened, and counts how often it is read from.
type slowConn struct {
	net.Conn
	gate  atomic.Pointer[chan struct{}] // nil: open
	reads atomic.Int64
}

func (c *slowConn) Write(b []byte) (int, error) {
	if gate := c.gate.Load(); gate != nil {
		<-*gate
	}
	return c.Conn.Write(b)
}

func (c *slowConn) Read(b []byte) (int, error) {
	c.reads.Add(1)
	return c.Conn.Read(b)
}

func TestMessageAfterTheCloseFrameIsNotHeardThoughOursIsNotWrittenYet(t *testing.T) {
	var heard atomic.Int64
	var nc *slowConn
	p, _ := playServer(t, herzws.ClientConfig{
		OnMessage: func(herzws.Kind, []byte) { heard.Add(1) },
		NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			inner, err := new(net.Dialer).DialContext(ctx, network, addr)
			nc = &slowConn{Conn: inner}
			return nc, err
		},
	})
	gate := make(chan struct{})
	nc.gate.Store(&gate)
	reads := nc.reads.Load()
	p.write(part{op: goodbye, payload: closing(1000, "")}.bytes(false))
	eventually(t, "the Close frame is read", func() bool { return nc.reads.Load() > reads })
	reads = nc.reads.Load()
	p.write(part{op: text, payload: "a"}.bytes(false))
	eventually(t, "what follows it is read", func() bool { return nc.reads.Load() > reads })
	close(gate)
	p.expect("close 1000")
	if n := heard.Load(); n != 0 {
		t.Errorf("%d messages after the Close frame were given to OnMessage (RFC 6455, section 5.5.1)", n)
	}
}

func TestSendFromOnMessageDoesNotWaitForAConnectionThatWaitsForIt(t *testing.T) {
	for name, lose := range map[string]func(p *peer, c *herzws.Client){
		"reset": func(p *peer, _ *herzws.Client) { _ = p.nc.(*net.TCPConn).SetLinger(0); _ = p.nc.Close() },
		"closed by us": func(_ *peer, c *herzws.Client) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = c.Close(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var client atomic.Pointer[herzws.Client]
			began, failed := make(chan struct{}), make(chan error, 1)
			p, c := playServer(t, herzws.ClientConfig{OnMessage: func(kind herzws.Kind, payload []byte) {
				close(began)
				eventually(t, "the client is known", func() bool { return client.Load() != nil })
				for {
					if err := client.Load().Send(context.Background(), kind, payload); err != nil {
						failed <- err
						return
					}
				}
			}})
			client.Store(c)
			go func() { _, _ = io.Copy(io.Discard, p.br) }()
			p.write(part{op: text, payload: "a"}.bytes(false))
			<-began
			lose(p, c)
			select {
			case err := <-failed:
				if !errors.Is(err, herzws.ErrClosed) {
					t.Errorf("%v", err)
				}
			case <-soon(t).Done():
				t.Fatal("it waits for the next connection, which waits for its callback")
			}
		})
	}
}

func TestClientWhoseLegacyHeartbeatsAreNeverAnsweredComesBackEverLater(t *testing.T) {
	var asked atomic.Int64
	legacy := &herzws.Server{Config: herzws.Config{Logger: quiet(), Switch: legacyForAll()}}
	addr := listen(t, legacy, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			panic(http.ErrAbortHandler) // as a box on the way that knows no HEAD
		}
		asked.Add(1)
		legacy.ServeHTTP(w, r)
	}))
	c, err := herzws.Dial(soon(t), herzws.ClientConfig{URL: "ws://" + addr + "/ws", Logger: quiet(), Backoff: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	_ = c.Close(soon(t))
	if n := asked.Load(); n < 2 || n > 25 {
		t.Errorf("it came %d times in two seconds", n)
	}
}

func legacyForAll() *herzws.Switch {
	sw := new(herzws.Switch)
	sw.SetEnableLegacyKeepAlive(true)
	return sw
}

// overPipes is a server whose connections are pipes, and how a client dials it.
func overPipes(t *testing.T, s *herzws.Server) func(context.Context, string, string) (net.Conn, error) {
	l := newPipes()
	web := &http.Server{Handler: s} //nolint:gosec // a test
	go func() { _ = web.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		_ = web.Close()
	})
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		l.accept <- theirs
		return ours, nil
	}
}

// lingering is a connection whose Close takes a second.
type lingering struct{ net.Conn }

func (l lingering) Close() error {
	time.Sleep(time.Second)
	return l.Conn.Close()
}

func TestOnMessageOfTheFirstMessageAfterLegacyModeMaySend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &herzws.Server{Config: herzws.Config{
			Logger: quiet(), Spread: -1, OnOpen: func(c *herzws.Conn) { _ = c.Send(context.Background(), herzws.Text, []byte("who are you?")) },
		}}
		s.Switch().SetEnableLegacyKeepAlive(true)
		dial := overPipes(t, s)
		made, sent := make(chan *herzws.Client, 1), make(chan error, 1)
		c, err := herzws.Dial(context.Background(), herzws.ClientConfig{
			URL: "ws://pipe/ws", Logger: quiet(),
			NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := dial(ctx, network, addr)
				return lingering{nc}, err // that of the heartbeats is closed while the WebSocket is there
			},
			OnMessage: func(kind herzws.Kind, _ []byte) { sent <- (<-made).Send(context.Background(), kind, []byte("me")) },
		})
		if err != nil {
			t.Fatal(err)
		}
		made <- c
		time.Sleep(time.Second)
		s.Switch().SetEnableLegacyKeepAlive(false)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestSendFromOnStateDoesNotWaitForAConnectionThatWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &herzws.Server{Config: herzws.Config{
			Logger: quiet(), Spread: -1, OnOpen: func(c *herzws.Conn) { c.Close(herzws.CodeTryAgainLater, "full") },
		}}
		made, sent := make(chan *herzws.Client, 1), make(chan error, 1)
		c, err := herzws.Dial(context.Background(), herzws.ClientConfig{
			URL: "ws://pipe/ws", Logger: quiet(), NetDial: overPipes(t, s),
			OnState: func(mode herzws.Mode, _ error) {
				if mode != herzws.V2 {
					return
				}
				select {
				case c := <-made: // once
					time.Sleep(time.Second) // its connection ends
					ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
					defer cancel()
					sent <- c.Send(ctx, herzws.Text, []byte("hello"))
				default:
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		made <- c
		if err := <-sent; !errors.Is(err, herzws.ErrClosed) {
			t.Error(err)
		}
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
