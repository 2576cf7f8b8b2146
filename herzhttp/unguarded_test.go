package herzhttp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzhttp"
)

// unguarded makes the transport of cfg dial TLS by itself, in a way in which nothing lies under its connections that a guard could be.
func unguarded(cfg *herzhttp.Config, protocols ...string) {
	ours := cfg.Base.TLSClientConfig.Clone()
	ours.NextProtos = protocols
	cfg.Base.DialTLSContext = (&tls.Dialer{Config: ours}).DialContext
}

func TestConnectionWithoutAGuardThatTheServerClosedCostsNoRequest(t *testing.T) {
	s, cfg := newSite(t, "http/1.1 over TLS", echo)
	unguarded(&cfg)
	tr := newTransport(t, cfg)
	for i := range 20 {
		if err := get(t, tr, s.URL, 10*time.Second); err != nil {
			t.Fatalf("GET %d: %v", i, err)
		}
		s.CloseClientConnections()
	}
}

// slowToTell is a Watch that lets a dial take a moment longer, in which it is seen that the server has left.
type slowToTell struct{ dialed }

func (s *slowToTell) Dialed(d herzhttp.Dial) {
	s.dialed.Dialed(d)
	time.Sleep(10 * time.Millisecond)
}

func TestServerThatEndsEachConnectionAtOnceIsNotDialledForGood(t *testing.T) {
	s, cfg := newSite(t, "http/1.1 over TLS", echo)
	unguarded(&cfg)
	inner := cfg.Base.DialTLSContext
	cfg.Base.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := inner(ctx, network, addr)
		s.CloseClientConnections()
		return nc, err
	}
	var told slowToTell
	cfg.Watch = &told
	err := get(t, newTransport(t, cfg), s.URL, 2*time.Second)
	if dials, _ := told.all(); err == nil || errors.Is(err, context.DeadlineExceeded) || len(dials) > 3 {
		t.Errorf("after %d dials: %v", len(dials), err)
	}
}

func TestPostThatIsLostWithoutAGuardIsAmbiguous(t *testing.T) {
	var n atomic.Int64
	s, cfg := newSite(t, "http/1.1 over TLS", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n.Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
	}))
	unguarded(&cfg)
	tr := newTransport(t, cfg)
	if err := post(t, tr, s.URL, "x"); err != nil {
		t.Fatal(err)
	}
	if err := post(t, tr, s.URL, "x"); !errors.Is(err, guard.ErrAmbiguous) || n.Load() != 2 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}

func TestRequestsOnASilentHTTP2ConnectionWithoutAGuardEnd(t *testing.T) {
	var silent atomic.Bool
	at, cfg := rawServer(t, func(p *peer, f frame) {
		if f.kind == frameHeaders && !(p.n == 1 && silent.Load()) {
			p.send(answer200(f.stream))
		}
	})
	// Two sockets under one connection: it is not known which of them serves.
	cfg.Base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		other, theirs := net.Pipe()
		t.Cleanup(func() { other.Close(); theirs.Close() })
		guard.WrapContext(ctx, other, guard.Options{})
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	cfg.Limits.HeartbeatTimeout = 300 * time.Millisecond
	tr := newTransport(t, cfg)
	if err := get(t, tr, at, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	silent.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := get(t, tr, at, 20*time.Second); err != nil && errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a request on a connection that was given up: %v", err)
		}
	})
	eventually(t, "it is under way", func() bool { return only(t, tr).Leases == 1 })
	_ = get(t, tr, at, 100*time.Millisecond)
	wg.Wait()
}

// hardOfHearing is a connection that knows no deadlines, like the one of an SSH tunnel.
type hardOfHearing struct{ net.Conn }

func (hardOfHearing) SetReadDeadline(time.Time) error { return errors.ErrUnsupported }

func TestCloseOfALateBodyIsBoundedWithoutDeadlinesToo(t *testing.T) {
	release := make(chan struct{})
	s, cfg := newSite(t, "http/1.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begin")
		_ = http.NewResponseController(w).Flush()
		<-release
	}))
	cfg.Base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		return hardOfHearing{nc}, err
	}
	tr := newTransport(t, cfg)
	resp, err := (&http.Client{Transport: tr}).Get(s.URL) //nolint:bodyclose // below, on a goroutine
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() { _ = resp.Body.Close(); close(closed) }()
	select {
	case <-closed:
	case <-withTimeout(t, 5*time.Second).Done():
		t.Error("it waits for an answer that does not end")
	}
	close(release)
	<-closed
}

func TestDialThatRanOutOfTimeIsATimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // it accepts nothing, so that the handshake of TLS is not answered
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tr := newTransport(t, herzhttp.Config{Base: &http.Transport{TLSHandshakeTimeout: 50 * time.Millisecond}})
	_, err = (&http.Client{Transport: tr}).Get("https://" + l.Addr().String()) //nolint:bodyclose // there is none
	if failed, ok := errors.AsType[*url.Error](err); !ok || !failed.Timeout() {
		t.Errorf("%v", err)
	}
}

func TestServerThatSpeaksNoTLSIsNamed(t *testing.T) {
	s, cfg := newSite(t, "http/1.1", echo)
	_, err := (&http.Client{Transport: newTransport(t, cfg)}).Get(strings.Replace(s.URL, "http:", "https:", 1)) //nolint:bodyclose // there is none
	if !errors.Is(err, http.ErrSchemeMismatch) {
		t.Errorf("%v", err)
	}
}
