package websocket_test

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"herz.example/herz/guard"
	"herz.example/herz/herzws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const within = 30 * time.Second

// beat is short, so that a test sees many.
var beat = herzws.Heartbeat{Interval: 20 * time.Millisecond, Grace: 10 * time.Second}

// echo starts a server that sends messages back.
func echo(t *testing.T) (*herzws.Server, string) {
	t.Helper()
	s := &herzws.Server{Config: herzws.Config{
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Heartbeat: beat, Spread: -1,
		OnMessage: func(c *herzws.Conn, kind herzws.Kind, payload []byte) {
			_ = c.Send(context.Background(), kind, payload)
		},
	}}
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		web.Close()
	})
	return s, web.Listener.Addr().String()
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

func TestCoderClientIsGuardedAndSupervised(t *testing.T) {
	s, addr := echo(t)
	hc := herzws.HTTPClient(herzws.NewDialer(guard.Options{}))
	defer hc.CloseIdleConnections()
	ctx := soon(t)
	live := len(guard.Live())
	c, res, err := websocket.Dial(ctx, "ws://"+addr+"/ws", &websocket.DialOptions{HTTPClient: hc})
	if err != nil {
		t.Fatal(err)
	}
	if res.Body != nil {
		defer res.Body.Close()
	}
	if len(guard.Live()) != live+1 {
		t.Errorf("%d sockets are guarded", len(guard.Live())-live)
	}
	big := strings.Repeat("x", 30_000) // its limit for a message is 32 KiB
	if err = c.Write(ctx, websocket.MessageText, []byte(big)); err != nil {
		t.Fatal(err)
	}
	if _, b, err := c.Read(ctx); err != nil || string(b) != big {
		t.Fatalf("%d bytes came back: %v", len(b), err)
	}
	ended := make(chan error, 1)
	go func() { ended <- herzws.Supervise(ctx, c.Ping, beat) }()
	read := make(chan error, 1)
	go func() { _, _, err := c.Read(ctx); read <- err }()
	eventually(t, "pings of the server", func() bool { return s.Stats().Pings >= 1 && s.Conns()[0].Silence() < time.Second })
	s.Conns()[0].Close(herzws.CodeServiceRestart, "come again")
	if err := <-read; websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("it was closed by %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("nobody told that the pings fail")
	}
	_ = c.CloseNow() // it is closed
}

func TestGorillaClientIsGuardedAndSupervised(t *testing.T) {
	s, addr := echo(t)
	ctx := soon(t)
	d := gorilla.Dialer{NetDialContext: herzws.NewDialer(guard.Options{}).DialContext}
	c, res, err := d.DialContext(ctx, "ws://"+addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	defer c.Close()
	if _, ok := guard.From(c.NetConn()); !ok {
		t.Error("its socket is not guarded")
	}
	ping := herzws.GorillaPing(c)
	if err = c.WriteMessage(gorilla.BinaryMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if kind, b, err := c.ReadMessage(); err != nil || kind != gorilla.BinaryMessage || string(b) != "hello" {
		t.Fatalf("%q, %v", b, err)
	}
	read := make(chan error, 1)
	go func() { _, _, err := c.ReadMessage(); read <- err }()
	for range 5 {
		if err = ping(ctx); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() {
		ended <- herzws.Supervise(ctx, ping, herzws.Heartbeat{Interval: 20 * time.Millisecond, Grace: time.Second})
	}()
	s.Conns()[0].Close(herzws.CodeServiceRestart, "come again")
	if err := <-read; !gorilla.IsCloseError(err, gorilla.CloseServiceRestart) {
		t.Errorf("it was closed by %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("nobody told that the pings fail")
	}
}

// A legacy device, written with curl: two heartbeats over one kept connection.
func TestLegacyClientWrittenWithCurlWorks(t *testing.T) {
	s, addr := echo(t)
	s.Switch().SetEnableLegacyKeepAlive(true)
	url := "http://" + addr + "/ws"
	out, err := exec.CommandContext(soon(t), "curl", "--silent", "--show-error", "--max-time", "20", "--head", "--header", "X-Device-Id: meter-7",
		"--write-out", "connects=%{num_connects}\n", url, url).CombinedOutput()
	if err != nil {
		t.Fatalf("curl (install it, or run tools/setup.sh): %v\n%s", err, out)
	}
	text := string(out)
	if strings.Count(text, "HTTP/1.1 200 OK") != 2 || strings.Count(text, "X-Heartbeat-Interval: 20ms") != 2 ||
		!strings.Contains(text, "connects=1") || !strings.Contains(text, "connects=0") {
		t.Errorf("curl says\n%s", text)
	}
	if d, ok := s.Device("meter-7"); !ok || d.Mode != herzws.Legacy || s.Stats().Heartbeats != 2 || s.Stats().Legacy != 1 {
		t.Errorf("%+v; %+v", d, s.Stats())
	}
	s.Switch().SetEnableLegacyKeepAlive(false)
	out, err = exec.CommandContext(soon(t), "curl", "--silent", "--max-time", "20", "--head", url).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "HTTP/1.1 426 Upgrade Required") {
		t.Errorf("off: %v\n%s", err, out)
	}
}
