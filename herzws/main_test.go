package herzws_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"herz.example/herz/herzws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// within bounds every wait of a test that has no reason to be long.
const within = 20 * time.Second

// engines are those of this system.
func engines() map[string]herzws.Engine {
	all := map[string]herzws.Engine{"portable": herzws.Portable}
	if runtime.GOOS == "linux" {
		all["epoll"] = herzws.Epoll
	}
	return all
}

// onEach runs a test with each engine.
func onEach(t *testing.T, f func(t *testing.T, engine herzws.Engine)) {
	for name, e := range engines() {
		t.Run(name, func(t *testing.T) { f(t, e) })
	}
}

// journal is a log that is read afterwards.
type journal struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// serve starts a server, which ends with the test.
func serve(t *testing.T, cfg herzws.Config) (*herzws.Server, string) {
	t.Helper()
	s := &herzws.Server{Config: cfg}
	return s, listen(t, s, s.Handler(nil))
}

func listen(t *testing.T, s *herzws.Server, h http.Handler) string {
	t.Helper()
	web := httptest.NewServer(h)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		web.Close()
	})
	return web.Listener.Addr().String()
}

// echo is the configuration of a server that sends everything back.
func echo(e herzws.Engine) herzws.Config {
	return herzws.Config{
		Engine: e, Logger: quiet(), Failing: herzws.Failing{Threshold: -1}, Spread: -1, CloseTimeout: 2 * time.Second,
		OnMessage: func(c *herzws.Conn, kind herzws.Kind, payload []byte) {
			_ = c.Send(context.Background(), kind, payload)
		},
	}
}

// request is a handshake with further or other headers.
func request(addr string, headers ...string) string {
	all := map[string]string{
		"Host": addr, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13",
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		all[k] = v
		if v == "" {
			delete(all, k)
		}
	}
	text := "GET /ws HTTP/1.1\r\n"
	for k, v := range all {
		text += k + ": " + v + "\r\n"
	}
	return text + "\r\n"
}

// peer is the other end of a connection, which does what the test wants.
type peer struct {
	t  *testing.T
	nc net.Conn
	br *bufio.Reader
}

// open makes a WebSocket by hand.
func open(t *testing.T, addr string, headers ...string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(within))
	p := &peer{t, nc, bufio.NewReader(nc)}
	res := p.ask(request(addr, headers...))
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake was answered %s", res.Status)
	}
	return p
}

// answer is what came of a request.
type answer struct {
	Status     string
	StatusCode int
	Header     http.Header
	Text       string
}

// ask sends a request and reads the answer.
func (p *peer) ask(text string) answer {
	p.t.Helper()
	p.write([]byte(text))
	res, err := http.ReadResponse(p.br, &http.Request{Method: strings.Fields(text)[0]})
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{Status: res.Status, StatusCode: res.StatusCode, Header: res.Header}
	if res.StatusCode != http.StatusSwitchingProtocols {
		b, err := io.ReadAll(res.Body)
		if err != nil {
			p.t.Fatal(err)
		}
		a.Text = string(b)
	}
	return a
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// frame is one of a client.
func frame(op ws.OpCode, payload string) []byte {
	return ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, true, []byte(payload))))
}

// next reads a frame and tells it in words: "text hello", "close 1002", "end".
func (p *peer) next() string {
	f, err := readFrame(p.br)
	if err != nil {
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			p.t.Fatalf("nothing came within %v", within)
		}
		return "end"
	}
	return words(f)
}

func words(f ws.Frame) string {
	if f.Header.Masked {
		f = ws.UnmaskFrame(f)
	}
	name := map[ws.OpCode]string{ws.OpText: "text", ws.OpBinary: "binary", ws.OpPing: "ping", ws.OpPong: "pong", ws.OpClose: "close"}[f.Header.OpCode]
	if f.Header.OpCode != ws.OpClose {
		return name + " " + string(f.Payload)
	}
	code, _ := ws.ParseCloseFrameData(f.Payload)
	if len(f.Payload) == 0 {
		return "close"
	}
	return fmt.Sprintf("%s %d", name, code)
}

// expect reads frames, and compares.
func (p *peer) expect(want ...string) {
	p.t.Helper()
	for _, w := range want {
		if got := p.next(); got != w {
			p.t.Fatalf("%q came, and not %q", got, w)
		}
	}
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	t.Cleanup(cancel)
	return ctx
}

func newReader(nc net.Conn) *bufio.Reader { return bufio.NewReader(nc) }

func jsonLog(j *journal) *slog.Logger { return slog.New(slog.NewJSONHandler(j, nil)) }

// readFrame reads a whole frame.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
