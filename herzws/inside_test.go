package herzws

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// patience bounds every wait of these tests, which look inside.
const patience = 20 * time.Second

// narrow is a listener whose connections take little that the peer has not read.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if tcp, ok := nc.(*net.TCPConn); ok {
		err = errors.Join(err, tcp.SetWriteBuffer(4<<10))
	}
	return nc, err
}

// narrowPair gives the two ends of a WebSocket on which little is on the way: the server's, and the socket of a peer that reads nothing by itself.
func narrowPair(t *testing.T, cfg Config) (*Conn, net.Conn, *bufio.Reader) {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	s := &Server{Config: cfg}
	web := httptest.NewUnstartedServer(s)
	web.Listener = narrow{web.Listener}
	web.Start()
	var nc net.Conn
	t.Cleanup(func() {
		_ = nc.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		web.Close()
	})
	var d net.Dialer
	nc, err := d.DialContext(t.Context(), "tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err = io.WriteString(nc, "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(nc)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	until(t, "the connection", func() bool { return len(s.Conns()) == 1 })
	return s.Conns()[0], nc, br
}

// until polls.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// waiting is what of a queue waits.
func waiting(c *Conn) (frames, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue == nil {
		return 0, 0
	}
	return len(c.queue.frames), c.queue.bytes
}

func TestPeerThatPingsAndDoesNotReadHasFewPongsWait(t *testing.T) {
	for _, e := range []Engine{Portable, Epoll} {
		t.Run(map[Engine]string{Portable: "portable", Epoll: "epoll"}[e], func(t *testing.T) {
			const pings = 300_000
			c, nc, br := narrowPair(t, Config{Engine: e})
			empty := ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame(nil)))
			var many []byte
			for range 1000 {
				many = append(many, empty...)
			}
			for range pings / 1000 {
				if _, err := nc.Write(many); err != nil {
					t.Fatal(err)
				}
			}
			last := ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame([]byte("last"))))
			if _, err := nc.Write(append(last, ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("read"))))...)); err != nil {
				t.Fatal(err)
			}
			until(t, "all is read", func() bool { return c.hub.counts.received.Load() == 1 })
			if frames, bytes := waiting(c); frames > 100 || bytes > 8<<10 {
				t.Errorf("%d frames with %d bytes wait", frames, bytes)
			}
			for {
				h, err := ws.ReadHeader(br)
				if err != nil {
					t.Fatalf("the newest ping was not answered: %v", err)
				}
				if h.Length == 4 {
					break
				}
			}
		})
	}
}

func TestEmptyMessagesThatWaitCostWhatQueueBytesSays(t *testing.T) {
	for _, e := range []Engine{Portable, Epoll} {
		t.Run(map[Engine]string{Portable: "portable", Epoll: "epoll"}[e], func(t *testing.T) {
			const queueBytes = 64 << 10
			c, _, br := narrowPair(t, Config{Engine: e, Slow: SlowWait, QueueBytes: queueBytes})
			ctx, full := context.WithCancel(t.Context())
			defer full()
			accepted, over := 0, make(chan error, 1)
			go func() {
				var err error
				for ; err == nil && accepted < 1_000_000; accepted++ {
					err = c.Send(ctx, Binary, nil)
				}
				over <- err
			}()
			until(t, "a full queue", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.queue != nil && c.queue.room != nil
			})
			frames, _ := waiting(c)
			full()
			if err := <-over; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if most := queueBytes / 32; frames > most { // 24 bytes of a place, 8 of an allocation
				t.Errorf("%d empty messages wait, for which QueueBytes has no more than %d places", frames, most)
			}
			for i := range accepted - 1 {
				if _, err := ws.ReadHeader(br); err != nil {
					t.Fatalf("message %d of %d: %v", i, accepted, err)
				}
			}
			until(t, "all has left, and nothing is counted", func() bool { frames, bytes := waiting(c); return frames+bytes == 0 })
		})
	}
}

// onEachEngine runs a test with each engine.
func onEachEngine(t *testing.T, f func(t *testing.T, e Engine)) {
	for name, e := range map[string]Engine{"portable": Portable, "epoll": Epoll} {
		t.Run(name, func(t *testing.T) { f(t, e) })
	}
}

// control reads frames until one of that kind comes, and gives its payload.
func control(t *testing.T, br *bufio.Reader, op ws.OpCode) string {
	t.Helper()
	for {
		h, err := ws.ReadHeader(br)
		payload := make([]byte, h.Length)
		if err == nil {
			_, err = io.ReadFull(br, payload)
		}
		if err != nil {
			t.Fatalf("no %v came: %v", op, err)
		}
		if h.OpCode == op {
			return string(payload)
		}
	}
}

func TestPingIsAnsweredThoughAGreatMessageWaits(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e Engine) {
		const pings = 1000
		c, nc, br := narrowPair(t, Config{Engine: e})
		if err := c.Send(t.Context(), Binary, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		_, before := waiting(c)
		var many []byte
		for range pings {
			many = append(many, ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame([]byte("well?"))))...)
		}
		many = append(many, ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame([]byte("last"))))...)
		if _, err := nc.Write(append(many, ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("read"))))...)); err != nil {
			t.Fatal(err)
		}
		until(t, "all is read", func() bool { return c.hub.counts.received.Load() == 1 })
		if _, bytes := waiting(c); before <= DefaultQueueBytes || bytes > before+8<<10 {
			t.Errorf("%d bytes wait, after %d of the message", bytes, before)
		}
		for control(t, br, ws.OpPong) != "last" { // others may have found their place before it
		}
	})
}

func TestPeerIsAskedThoughAGreatMessageWaits(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e Engine) {
		c, _, br := narrowPair(t, Config{Engine: e})
		if err := c.Send(t.Context(), Binary, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			c.control(ws.OpPing, nil)
		}
		if frames, bytes := waiting(c); frames > 10 || bytes <= DefaultQueueBytes {
			t.Errorf("%d frames with %d bytes wait", frames, bytes)
		}
		control(t, br, ws.OpPing)
	})
}

// The sweep cuts, and has others to look after.
func TestCuttingATLSConnectionDoesNotWaitForItsPeer(t *testing.T) {
	web := httptest.NewTLSServer(nil)
	certificates := web.TLS.Certificates
	web.Close()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		over := tls.Server(theirs, &tls.Config{Certificates: certificates, SessionTicketsDisabled: true}) //nolint:gosec // a test
		peer := tls.Client(ours, &tls.Config{InsecureSkipVerify: true})                                   //nolint:gosec // a test
		go func() { _ = over.Handshake() }()
		if err := peer.Handshake(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // both are done, and the peer reads nothing
		h := &hub{counts: new(counters), queueBytes: DefaultQueueBytes, born: time.Now()}
		began := time.Now()
		newPortable(h, over).abort(&CloseError{Code: CodeAbnormal})
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestPauseThatAServerAsksForByADateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for text, want := range map[string]time.Duration{
			"7": 7 * time.Second, "": 0, "-1": 0, "soon": 0,
			time.Now().Add(9 * time.Second).UTC().Format(http.TimeFormat):  9 * time.Second,
			time.Now().Add(-9 * time.Second).UTC().Format(http.TimeFormat): 0,
			"99999999999999": 9_223_372_036 * time.Second, // the longest there is
		} {
			r := &http.Response{Header: http.Header{"Retry-After": {text}}}
			if got := retryAfter(r); got != want {
				t.Errorf("%q asks for a pause of %v", text, got)
			}
		}
	})
}

// Over TLS and for a client all that is sent waits for a moment, and is not slow for that.
func TestGreatMessageMayWaitBehindASmallOne(t *testing.T) {
	for name, slow := range map[string]Slow{"close": SlowClose, "drop": SlowDropOldest} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				defer ours.Close()
				h := &hub{counts: new(counters), queueBytes: DefaultQueueBytes, slow: slow, born: time.Now()}
				c := newPortable(h, theirs)
				for _, n := range []int{5, 1 << 20} {
					if err := c.Send(t.Context(), Binary, make([]byte, n)); err != nil {
						t.Fatalf("%d bytes: %v", n, err)
					}
					synctest.Wait() // it is being written
				}
				for _, n := range []int64{5, 1 << 20} {
					head, err := ws.ReadHeader(ours)
					if err != nil || head.Length != n {
						t.Fatalf("%d bytes: %+v, %v", n, head, err)
					}
					if n > 5 { // it has begun to leave
						if err := c.Send(t.Context(), Binary, make([]byte, 1<<20)); !errors.Is(err, ErrSlow) {
							t.Errorf("a second one: %v", err)
						}
					}
					if _, err = io.CopyN(io.Discard, ours, n); err != nil {
						t.Fatal(err)
					}
				}
				c.abort(&CloseError{Code: CodeAbnormal})
			})
		})
	}
}
