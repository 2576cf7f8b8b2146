package herzws_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"herz.example/herz/conn"
	"herz.example/herz/herzws"
)

func TestZeroServerTakesConnectionsInTheEngineOfTheSystem(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet()})
	open(t, addr)
	eventually(t, "the connection", func() bool { return s.Stats().Conns == 1 })
	want := herzws.Portable
	if engines()["epoll"] != 0 {
		want = herzws.Epoll
	}
	if c := s.Conns()[0]; c.Engine() != want || c.Class() != "/ws" || c.Device() != "" || c.RemoteAddr().String() == "" {
		t.Errorf("engine %v, class %q", c.Engine(), c.Class())
	}
	if s.Limits() != (herzws.Limits{Conns: 10_000, Legacy: 5_000}) {
		t.Errorf("%+v", s.Limits())
	}
}

func TestCallbacksComeOneAfterTheOther(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		const peers, messages = 20, 100
		var wrong atomic.Int64
		var over sync.WaitGroup
		over.Add(peers)
		s, addr := serve(t, herzws.Config{
			Engine: e, Logger: quiet(), Workers: 3,
			OnOpen: func(c *herzws.Conn) { c.SetData(new(int)) },
			OnMessage: func(c *herzws.Conn, _ herzws.Kind, b []byte) {
				n := c.Data().(*int) // no lock: the race detector would find two at once
				if strconv.Itoa(*n) != string(b) {
					wrong.Add(1)
				}
				*n++
			},
			OnClose: func(c *herzws.Conn, err error) {
				if *c.Data().(*int) != messages {
					wrong.Add(1)
				}
				over.Done()
			},
		})
		var hands sync.WaitGroup
		for range peers {
			hands.Go(func() {
				p := open(t, addr)
				var all []byte
				for i := range messages {
					all = append(all, frame(ws.OpText, strconv.Itoa(i))...)
				}
				p.write(append(all, frame(ws.OpClose, closing(1000, ""))...))
				p.expect("close 1000", "end")
			})
		}
		hands.Wait()
		over.Wait()
		if wrong.Load() != 0 || s.Stats().Received != peers*messages {
			t.Errorf("%d are out of order; %+v", wrong.Load(), s.Stats())
		}
	})
}

func TestCallbackThatHangsHoldsNobodyElseUp(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		hang := make(chan struct{})
		cfg := echo(e)
		back := cfg.OnMessage
		cfg.OnMessage = func(c *herzws.Conn, k herzws.Kind, b []byte) {
			if string(b) == "hang" {
				<-hang
			}
			back(c, k, b)
		}
		_, addr := serve(t, cfg)
		stuck, other := open(t, addr), open(t, addr)
		stuck.write(append(frame(ws.OpText, "hang"), frame(ws.OpText, "behind it")...))
		for range 100 {
			other.write(frame(ws.OpText, "on"))
			other.expect("text on")
		}
		close(hang)
		stuck.expect("text hang", "text behind it")
	})
}

// late is a writer whose connection is taken over when the test says so.
type late struct {
	http.ResponseWriter
	began, gate chan struct{}
}

func (l *late) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	close(l.began)
	<-l.gate
	return http.NewResponseController(l.ResponseWriter).Hijack()
}

func TestShutdownWaitsForTheUpgradeThatIsUnderWay(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		var closed atomic.Int64
		cfg := echo(e)
		cfg.OnClose = func(*herzws.Conn, error) { closed.Add(1) }
		s := &herzws.Server{Config: cfg}
		began, gate := make(chan struct{}), make(chan struct{})
		addr := listen(t, s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(&late{w, began, gate}, r) }))
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		p := &peer{t, nc, bufio.NewReader(nc)}
		p.write([]byte(request(addr)))
		<-began
		over := make(chan error, 1)
		go func() { over <- s.Shutdown(soon(t)) }()
		select {
		case err := <-over:
			close(gate)
			t.Fatalf("it did not wait: %v", err)
		case <-pauseOf(t, 50*time.Millisecond):
		}
		close(gate)
		if res, err := http.ReadResponse(p.br, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols { //nolint:bodyclose // it is the connection
			t.Fatal(res, err)
		}
		p.expect("close 1001")
		p.write(frame(ws.OpClose, closing(1001, "")))
		if err := <-over; err != nil || closed.Load() != 1 {
			t.Errorf("%v; %d connections were closed before it returned", err, closed.Load())
		}
	})
}

// pauseOf gives a channel that is closed after d.
func pauseOf(t *testing.T, d time.Duration) <-chan struct{} {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx.Done()
}

func TestManySmallMessagesAreNotCopiedAgainForEachOfThem(t *testing.T) {
	const messages = 20_000
	var came atomic.Int64
	cfg := herzws.Config{Engine: herzws.Portable, Logger: quiet(), OnMessage: func(*herzws.Conn, herzws.Kind, []byte) { came.Add(1) }}
	_, addr := serve(t, cfg)
	p := open(t, addr)
	all := bytes.Repeat(frame(ws.OpText, "x"), messages)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p.write(all)
	eventually(t, "all of them came", func() bool { return came.Load() == messages })
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 256*messages {
		t.Errorf("%d bytes were allocated for each message of one byte", n/messages)
	}
}

// A peer whose callback is busy is not read: what it sends stays in the kernel, and at the end with the peer.
func TestPeerIsNotReadWhileItsCallbackIsBusy(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		hang, began := make(chan struct{}), make(chan struct{}, 1)
		s, addr := serve(t, herzws.Config{Engine: e, Logger: quiet(), OnMessage: func(*herzws.Conn, herzws.Kind, []byte) {
			select {
			case began <- struct{}{}:
			default:
			}
			<-hang
		}})
		p := open(t, addr)
		p.write(frame(ws.OpText, "first"))
		<-began
		much := frame(ws.OpBinary, strings.Repeat("x", 1<<19))
		_ = p.nc.SetWriteDeadline(time.Now().Add(2 * time.Second))
		var err error
		wrote := 0
		for err == nil && wrote < 256<<20 {
			var n int
			n, err = p.nc.Write(much)
			wrote += n
		}
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("%d bytes were taken from it: %v", wrote, err)
		}
		if s.Stats().Received != 1 {
			t.Errorf("%+v", s.Stats())
		}
		close(hang)
	})
}

func TestSlowConsumerIsBounded(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		message := bytes.Repeat([]byte("x"), 64<<10)
		start := func(t *testing.T, slow herzws.Slow) (*herzws.Server, *herzws.Conn, *peer, <-chan *herzws.CloseError) {
			cfg := herzws.Config{Engine: e, Logger: quiet(), Slow: slow, QueueBytes: 256 << 10, CloseTimeout: 300 * time.Millisecond}
			ends := ended(&cfg)
			s, addr := serve(t, cfg)
			p := open(t, addr)
			eventually(t, "the connection", func() bool { return s.Stats().Conns == 1 })
			return s, s.Conns()[0], p, ends
		}
		fill := func(c *herzws.Conn) (n int, err error) {
			for n = 0; n < 10_000 && err == nil; n++ { // far more than any kernel keeps
				ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
				err = c.Send(ctx, herzws.Binary, message)
				cancel()
			}
			return n, err
		}
		t.Run("close", func(t *testing.T) {
			s, c, _, ends := start(t, herzws.SlowClose)
			if n, err := fill(c); !errors.Is(err, herzws.ErrSlow) {
				t.Errorf("after %d messages: %v", n, err)
			}
			if err := c.Send(context.Background(), herzws.Text, nil); !errors.Is(err, herzws.ErrClosed) {
				t.Errorf("after the end: %v", err)
			}
			if why := <-ends; why.Code != herzws.CodePolicy || why.Cause != conn.Evicted || s.Stats().Slow != 1 {
				t.Errorf("it ended by %v; %+v", why, s.Stats())
			}
		})
		t.Run("drop the oldest", func(t *testing.T) {
			s, c, p, _ := start(t, herzws.SlowDropOldest)
			for i := range 2000 {
				if err := c.Send(context.Background(), herzws.Binary, append([]byte(strconv.Itoa(i)+" "), message...)); err != nil {
					t.Fatal(err)
				}
			}
			if s.Stats().Dropped == 0 {
				t.Errorf("%+v", s.Stats())
			}
			got, last := uint64(0), -1
			for last != 1999 {
				f, err := readFrame(p.br)
				if err != nil {
					t.Fatal(err)
				}
				n, err := strconv.Atoi(string(f.Payload[:bytes.IndexByte(f.Payload, ' ')]))
				if err != nil || n <= last {
					t.Fatalf("message %d came after %d", n, last)
				}
				last = n
				got++
			}
			if got+s.Stats().Dropped != 2000 {
				t.Errorf("%d came, %d were dropped", got, s.Stats().Dropped)
			}
		})
		t.Run("wait", func(t *testing.T) {
			_, c, p, _ := start(t, herzws.SlowWait)
			n, err := fill(c)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("after %d messages: %v", n, err)
			}
			sent := make(chan error, 1)
			go func() { sent <- c.Send(context.Background(), herzws.Text, []byte("last")) }()
			for range n - 1 {
				if _, err := readFrame(p.br); err != nil {
					t.Fatal(err)
				}
			}
			p.expect("text last")
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	})
}

func TestSenderThatWaitsForRoomIsToldOfTheEnd(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		s, addr := serve(t, herzws.Config{Engine: e, Logger: quiet(), Slow: herzws.SlowWait, QueueBytes: 1 << 10})
		p := open(t, addr)
		eventually(t, "the connection", func() bool { return s.Stats().Conns == 1 })
		c := s.Conns()[0]
		over := make(chan error, 1)
		go func() {
			for {
				if err := c.Send(context.Background(), herzws.Binary, make([]byte, 64<<10)); err != nil {
					over <- err
					return
				}
			}
		}()
		_ = p.nc.Close()
		if err := <-over; !errors.Is(err, herzws.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestBadTextIsNotSent(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet()})
	p := open(t, addr)
	eventually(t, "the connection", func() bool { return s.Stats().Conns == 1 })
	if err := s.Conns()[0].Send(context.Background(), herzws.Text, []byte("\xff")); !errors.Is(err, herzws.ErrUTF8) {
		t.Error(err)
	}
	if sent, refused := s.Broadcast(herzws.Text, []byte("\xff")); sent != 0 || refused != 1 {
		t.Errorf("sent %d, refused %d", sent, refused)
	}
	if sent, refused := s.Broadcast(herzws.Text, []byte("all")); sent != 1 || refused != 0 {
		t.Errorf("sent %d, refused %d", sent, refused)
	}
	p.expect("text all")
}

func TestPeerPastTheLimitIsRefusedClearly(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet(), Limits: herzws.Limits{Conns: 1}, RetryAfter: 7 * time.Second})
	first := open(t, addr)
	refused := func() answer {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		p := &peer{t, nc, newReader(nc)}
		res := p.ask(request(addr))
		if res.StatusCode == http.StatusServiceUnavailable && !strings.Contains(res.Text, "all of 1 WebSocket connections are taken; come again in 7 s") {
			t.Error(res.Text)
		}
		return res
	}
	if res := refused(); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "7" {
		t.Errorf("%s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
	}
	if s.Stats().Refused != 1 {
		t.Errorf("%+v", s.Stats())
	}
	s.SetLimits(herzws.Limits{Conns: 2})
	open(t, addr)
	s.SetLimits(herzws.Limits{Conns: 1})
	first.write(frame(ws.OpClose, closing(1000, "")))
	first.expect("close 1000", "end")
	eventually(t, "one place less", func() bool { return s.Stats().Conns == 1 })
	if res := refused(); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%s", res.Status)
	}
}

func TestShutdownDrainsAndRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		cfg := herzws.Config{Engine: e, Logger: quiet(), Spread: 100 * time.Millisecond}
		ends := ended(&cfg)
		s, addr := serve(t, cfg)
		p := open(t, addr)
		eventually(t, "the connection", func() bool { return s.Stats().Conns == 1 })
		if err := s.Conns()[0].Send(context.Background(), herzws.Text, []byte("before")); err != nil {
			t.Fatal(err)
		}
		down := make(chan error, 1)
		go func() { down <- s.Shutdown(context.Background()) }()
		p.expect("text before", "close 1001")
		p.write(frame(ws.OpClose, closing(1001, "")))
		p.expect("end")
		if err := <-down; err != nil {
			t.Error(err)
		}
		if why := <-ends; !why.Clean || why.Code != herzws.CodeGoingAway || !why.Ours || why.Cause != conn.Drained {
			t.Errorf("it ended by %v", why)
		}
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if res := (&peer{t, nc, newReader(nc)}).ask(request(addr)); res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s", res.Status)
		}
	})
}

func TestShutdownCutsWhatDoesNotAnswerInTime(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		s, addr := serve(t, herzws.Config{Engine: e, Logger: quiet(), Spread: -1, CloseTimeout: time.Hour})
		p := open(t, addr)
		eventually(t, "the connection", func() bool { return s.Stats().Conns == 1 })
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		p.expect("close 1001", "end")
	})
}

func TestPeerThatLeavesIsToldWithItsCause(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		j := new(journal)
		cfg := herzws.Config{Engine: e, Logger: jsonLog(j)}
		ends := ended(&cfg)
		_, addr := serve(t, cfg)
		p := open(t, addr, "X-Device-Id: meter-7")
		_ = p.nc.Close()
		if why := <-ends; why.Cause != conn.PeerFIN || why.Code != herzws.CodeAbnormal || why.Ours || !errors.Is(why, herzws.ErrClosed) {
			t.Errorf("by FIN: %v", why)
		}
		p = open(t, addr, "X-Device-Id: meter-7")
		_ = p.nc.(*net.TCPConn).SetLinger(0)
		_ = p.nc.Close()
		if why := <-ends; why.Cause != conn.PeerRST {
			t.Errorf("by RST: %v", why)
		}
		if log := j.String(); !strings.Contains(log, "meter-7") || !strings.Contains(log, "peer_rst") || !strings.Contains(log, `"WARN"`) {
			t.Errorf("the log has %s", log)
		}
	})
}

// Over TLS, and behind a middleware that wraps connections, the portable engine does the same.
func TestTLSConnectionIsPortable(t *testing.T) {
	s := &herzws.Server{Config: echo(herzws.Epoll)}
	web := httptest.NewTLSServer(s)
	t.Cleanup(func() { _ = s.Shutdown(soon(t)); web.Close() })
	nc, err := tls.Dial("tcp", web.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a test's own certificate
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(within))
	p := &peer{t, nc, newReader(nc)}
	p.ask(request("example"))
	big := strings.Repeat("x", 300_000)
	p.write(frame(ws.OpBinary, big))
	p.expect("binary " + big)
	if e := s.Conns()[0].Engine(); e != herzws.Portable {
		t.Errorf("engine %v", e)
	}
	p.write(frame(ws.OpClose, closing(1000, "")))
	p.expect("close 1000", "end")
}

// A code that must not stand on the wire does not, whatever the program asks for.
func TestCloseCodeThatMayNotBeSentIsNotSent(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		s, addr := serve(t, herzws.Config{Engine: e, Logger: quiet()})
		for code, want := range map[herzws.Code]string{1006: "close 1000", 0: "close 1000", 5000: "close 1000", herzws.CodeNone: "close", 4001: "close 4001"} {
			p := open(t, addr)
			eventually(t, "the connection", func() bool { return s.Stats().Conns == 1 })
			s.Conns()[0].Close(code, strings.Repeat("€", 100)) // and the reason is cut between characters
			p.expect(want)
			p.write(frame(ws.OpClose, ""))
			p.expect("end")
			eventually(t, "its end", func() bool { return s.Stats().Conns == 0 })
		}
	})
}

// The panic itself is told by net/http, on whose goroutine OnOpen runs.
func TestConnectionWhoseOnOpenPanicsEnds(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		cfg := herzws.Config{Engine: e, Logger: quiet(), OnOpen: func(*herzws.Conn) { panic("OnOpen") }}
		ends := ended(&cfg)
		s := &herzws.Server{Config: cfg}
		told := make(chan any, 1)
		addr := listen(t, s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { told <- recover() }()
			s.ServeHTTP(w, r)
		}))
		p := open(t, addr, "X-Device-Id: meter-1")
		p.expect("end")
		if v := <-told; v != "OnOpen" {
			t.Errorf("the panic became %v", v)
		}
		if why := <-ends; why.Cause != conn.Error || why.Code != herzws.CodeAbnormal {
			t.Errorf("it ended by %v", why)
		}
		eventually(t, "its end", func() bool { return s.Stats().Conns == 0 })
		if _, ok := s.Device("meter-1"); ok {
			t.Error("its entry is left")
		}
	})
}
