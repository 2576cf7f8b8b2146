//go:build linux

package e2e_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/faultlab/netns"
	"herz.example/herz/guard"
	"herz.example/herz/herzhttp"
)

// remote is an HTTP server behind a path that can become a black hole.
type remote struct {
	*httptest.Server
	n        *netns.NS
	port     int
	executed atomic.Int64 // POSTs
	slow     atomic.Bool  // POSTs take a second
}

func newRemote(t *testing.T, http2 bool) *remote {
	t.Helper()
	r := &remote{n: netns.New(t)}
	var l net.Listener
	if err := r.n.Do(func() (err error) { l, err = net.Listen("tcp", net.JoinHostPort(r.n.IP(), "0")); return err }); err != nil {
		t.Fatal(err)
	}
	r.port = l.Addr().(*net.TCPAddr).Port
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		if req.URL.Path == "/events" {
			_, _ = io.WriteString(w, "begin")
			_ = http.NewResponseController(w).Flush()
			<-req.Context().Done()
			return
		}
		if req.Method == http.MethodPost {
			r.executed.Add(1)
			if r.slow.Load() {
				time.Sleep(time.Second)
			}
		}
		_, _ = io.WriteString(w, req.Proto)
	}))
	_ = r.Listener.Close()
	r.Listener = l
	if r.EnableHTTP2 = http2; http2 {
		r.StartTLS()
	} else {
		r.Start()
	}
	t.Cleanup(func() {
		_ = r.n.Heal()
		r.CloseClientConnections()
		r.Close()
	})
	return r
}

// hole makes the connections of now black holes.
func (r *remote) hole(t *testing.T) {
	t.Helper()
	if fell, err := r.n.BlackHole(r.port); err != nil || fell == 0 {
		t.Fatalf("%d flows fell: %v", fell, err)
	}
}

// httpMost is what is promised, and a tenth of a second for the machine.
const httpMost = guard.DefaultHeartbeatTimeout + 100*time.Millisecond

func TestHTTPRequestsLeaveABlackHoleInTime(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(t, http2)
			tr, err := herzhttp.New(herzhttp.Config{Base: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}) //nolint:gosec // our own server
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tr.Close() }()
			send := func(method string) (took time.Duration, err error) {
				req, err := http.NewRequestWithContext(t.Context(), method, r.URL, strings.NewReader("x"))
				if err != nil {
					t.Fatal(err)
				}
				if method == http.MethodGet {
					req.Body, req.GetBody, req.ContentLength = nil, nil, 0
				}
				began := time.Now()
				resp, err := tr.RoundTrip(req)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
				return time.Since(began), err
			}
			must := func(method string) {
				t.Helper()
				if _, err := send(method); err != nil {
					t.Fatalf("%s: %v", method, err)
				}
			}

			must(http.MethodGet)
			r.hole(t)
			if took, err := send(http.MethodGet); err != nil || took > httpMost+time.Second {
				t.Errorf("a GET into an idle connection that is a black hole: %v after %v; it is repeated once that is known", err, took)
			}
			r.hole(t)
			if took, err := send(http.MethodPost); !errors.Is(err, guard.ErrAmbiguous) || took > httpMost {
				t.Errorf("a POST into an idle connection that is a black hole: %v after %v", err, took)
			}
			must(http.MethodPost)
			if n := r.executed.Load(); n != 1 {
				t.Errorf("%d POSTs were executed, and one arrived", n)
			}

			r.slow.Store(true)
			var took time.Duration
			done := make(chan struct{})
			go func() {
				defer close(done)
				took, err = send(http.MethodPost)
			}()
			if !within(5*time.Second, func() bool { return r.executed.Load() == 2 }) {
				t.Fatal("the POST did not arrive")
			}
			r.hole(t)
			<-done
			if !errors.Is(err, guard.ErrAmbiguous) || took > httpMost+200*time.Millisecond {
				t.Errorf("a POST in flight when the path became a black hole: %v after %v", err, took)
			}
			if n := r.executed.Load(); n != 2 {
				t.Errorf("%d POSTs were executed, and two arrived", n)
			}
		})
	}
}

// A reader of events hears nothing for a long time, and that is no answer to the question whether there is somebody.
func TestHTTPStreamThatOnlyListensLeavesABlackHoleInTime(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP1": false, "HTTP2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(t, http2)
			tr, err := herzhttp.New(herzhttp.Config{Base: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}) //nolint:gosec // our own server
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tr.Close() }()
			resp, err := (&http.Client{Transport: tr}).Get(r.URL + "/events") //nolint:bodyclose // it is, below
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, len("begin"))); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := resp.Body.Read(make([]byte, 1))
				ended <- err
			}()
			select { // for longer than a reader in the middle of an answer is believed without the adapter's word
			case err := <-ended:
				t.Fatalf("a live stream ended: %v", err)
			case <-time.NewTimer(2*guard.DefaultHeartbeatTimeout + 500*time.Millisecond).C:
			}
			r.hole(t)
			began := time.Now()
			if err := <-ended; err == nil {
				t.Error("a byte came out of a black hole")
			}
			if took := time.Since(began); took > httpMost {
				t.Errorf("it ended after %v", took)
			}
		})
	}
}
