package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/cmd/herz/internal/demo/client"
	"herz.example/herz/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a store that answers what it is told to.
type fake struct {
	value string
	err   error
	wait  bool
}

func (f fake) Read(ctx context.Context, _ string) (string, error) {
	if f.wait {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return f.value, f.err
}
func (f fake) Add(ctx context.Context, _ string) (string, error) { return f.Read(ctx, "") }
func (f fake) Close() error                                      { return nil }

func TestTheHandlerTellsWhatTheStoreSays(t *testing.T) {
	for name, c := range map[string]struct {
		store  fake
		status int
		body   string
	}{
		"a value":                 {fake{value: "v"}, 200, `{"value":"v"}`},
		"neither value nor error": {fake{}, 200, ""},
		"an error":                {fake{err: errors.New("no")}, 502, "no"},
		"no answer in time":       {fake{wait: true}, 502, "deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			client.Handler(c.store, 10*time.Millisecond).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/read?key=a", nil))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) || (c.body == "" && w.Body.Len() > 0) {
				t.Fatalf("got %d %q", w.Code, w.Body)
			}
			if c.status == 200 && c.body != "" && !json.Valid(w.Body.Bytes()) {
				t.Fatalf("no JSON: %q", w.Body)
			}
		})
	}
}

const get = "*2\r\n$3\r\nget\r\n$1\r\na\r\n"

func TestOnlyRequestsOfTheApplicationCount(t *testing.T) {
	for bytes, want := range map[string]bool{
		get: true, "*2\r\n$4\r\nINCR\r\n$1\r\na\r\n": true, "*1\r\n$4\r\nPING\r\n": false, "*3\r\n$5\r\nhello\r\n": false, "": false,
	} {
		if got := client.CarriesRedis([]byte(bytes)); got != want {
			t.Errorf("Redis %q: %v", bytes, got)
		}
	}
	for bytes, want := range map[string]bool{
		"\x05\x00\x00\x00\x03abcd": true, "\x05\x00\x00\x00\x16abcd": true, "\x05\x00\x00\x00\x17abcd": true,
		"\x01\x00\x00\x00\x01": false, "\x01\x00\x00\x00\x0e": false, "\x05\x00\x00\x01\x03abcd": false, "\x05\x00": false,
	} {
		if got := client.CarriesMySQL([]byte(bytes)); got != want {
			t.Errorf("MySQL %q: %v", bytes, got)
		}
	}
}

// lend gives a tapped connection whose other end has closed, by a FIN, and was told of it at the given time.
func lend(t *testing.T, toldAgo time.Duration) (*client.Tap, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	at := time.Now().Add(-toldAgo)
	tap := client.NewTap(func(string) (time.Time, bool) { return at, true }, client.CarriesRedis)
	nc, err := tap.Dial(&net.Dialer{})(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err = far.Close(); err != nil {
		t.Fatal(err)
	}
	return tap, nc
}

func TestARequestOnAConnectionKnownToBeDeadIsSeen(t *testing.T) {
	tap, nc := lend(t, time.Second)
	_, _ = io.WriteString(nc, "*1\r\n$4\r\nPING\r\n")
	if tap.DeadLent() != 0 {
		t.Fatal("a ping counts as a request")
	}
	_, _ = io.WriteString(nc, get)
	if tap.DeadLent() != 1 || len(tap.Conns()) != 1 || tap.Conns()[0].DeadSince.IsZero() {
		t.Fatalf("%d counted, %+v", tap.DeadLent(), tap.Conns())
	}
	_ = nc.Close()
	if c := tap.Conns(); len(c) != 1 || c[0].Closed.IsZero() || c[0].Cause == "" {
		t.Fatalf("a connection that was just closed is not shown as closed: %+v", c)
	}
}

func TestTheNewsMustHaveHadTimeToArrive(t *testing.T) {
	tap, nc := lend(t, 0)
	_, _ = io.WriteString(nc, get)
	if tap.DeadLent() != 0 {
		t.Fatal("nobody could know yet")
	}
}

func TestWhatTheGuardRefusesIsPutOnNoConnection(t *testing.T) {
	tap, nc := lend(t, time.Second)
	g := guard.Wrap(nc, guard.Redis)
	defer func() { _ = g.Close() }()
	for limit := time.Now().Add(5 * time.Second); g.Alive() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the guard does not see the FIN through the tap")
		}
	}
	if n, err := io.WriteString(g.Surface(), get); n != 0 || !guard.SafeToRetry(err) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if tap.DeadLent() != 0 {
		t.Fatal("a refusal counts")
	}
}
