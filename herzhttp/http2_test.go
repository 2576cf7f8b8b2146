package herzhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzhttp"
	"herz.example/herz/pool"
)

func TestStreamThatWasRefusedIsSentAgainAndTheOneThatWasNotIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		code    uint32
		repeats bool
	}{"REFUSED_STREAM": {refusedStream, true}, "INTERNAL_ERROR": {2, false}, "CANCEL": {8, false}} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int64
			url, cfg := rawServer(t, func(p *peer, f frame) {
				if f.kind != frameHeaders {
					return
				}
				if seen.Add(1) == 1 {
					p.send(reset(f.stream, c.code))
				} else {
					p.send(answer200(f.stream))
				}
			})
			err := post(t, newTransport(t, cfg), url, "x")
			if c.repeats && (err != nil || seen.Load() != 2) || !c.repeats && (!errors.Is(err, guard.ErrAmbiguous) || seen.Load() != 1) {
				t.Errorf("%v after %d tries", err, seen.Load())
			}
		})
	}
}

// A server that refuses streams has too much to do: what comes again at once makes it worse. The first time it may be but a limit that has become lower.
func TestStreamThatIsRefusedAgainAndAgainIsSentWithPauses(t *testing.T) {
	var at []time.Time // of the goroutine of the only connection
	url, cfg := rawServer(t, func(p *peer, f frame) {
		if f.kind != frameHeaders {
			return
		}
		if at = append(at, time.Now()); len(at) < 4 {
			p.send(reset(f.stream, refusedStream))
		} else {
			p.send(answer200(f.stream))
		}
	})
	if err := post(t, newTransport(t, cfg), url, "x"); err != nil || len(at) != 4 {
		t.Fatalf("%v after %d tries", err, len(at))
	}
	if second, third := at[2].Sub(at[1]), at[3].Sub(at[2]); second < 50*time.Millisecond || third < 100*time.Millisecond {
		t.Errorf("the pauses before the second and the third repetition: %v, %v", second, third)
	}
}

// hangUp ends a caller's context when the second try of his request has failed.
type hangUp struct {
	dialed
	cancel context.CancelFunc
}

func (h *hangUp) Tried(x herzhttp.Try) {
	h.dialed.Tried(x)
	if _, tries := h.all(); len(tries) == 2 {
		h.cancel()
	}
}

func TestPauseBeforeARefusedStreamIsSentAgainEndsWithTheContext(t *testing.T) {
	var seen atomic.Int64
	url, cfg := rawServer(t, func(p *peer, f frame) {
		if f.kind == frameHeaders {
			seen.Add(1)
			p.send(reset(f.stream, refusedStream))
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cfg.Watch = &hangUp{cancel: cancel}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newTransport(t, cfg).RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) || !guard.SafeToRetry(err) || seen.Load() != 2 {
		t.Errorf("%v after %d tries", err, seen.Load())
	}
}

func TestStreamAboveGoAwayIsSentAgainAndTheOneBelowIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		last    uint32
		repeats bool
	}{"above": {0, true}, "below": {1, false}} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int64
			url, cfg := rawServer(t, func(p *peer, f frame) {
				switch {
				case f.kind != frameHeaders:
				case p.n == 1:
					seen.Add(1)
					p.send(goAway(c.last))
					_ = p.nc.Close()
				default:
					seen.Add(1)
					p.send(answer200(f.stream))
				}
			})
			err := post(t, newTransport(t, cfg), url, "x")
			if c.repeats && (err != nil || seen.Load() != 2) {
				t.Errorf("a stream that the server has not processed: %v after %d tries", err, seen.Load())
			}
			if !c.repeats && (!errors.Is(err, guard.ErrAmbiguous) || seen.Load() != 1) {
				t.Errorf("a stream that the server may have processed: %v after %d tries", err, seen.Load())
			}
		})
	}
}

func TestConnectionThatSaidGoAwayIsReplacedAndItsStreamsEnd(t *testing.T) {
	var first atomic.Pointer[peer]
	url, cfg := rawServer(t, func(p *peer, f frame) {
		switch {
		case f.kind != frameHeaders:
		case p.n == 1 && f.stream == 1:
			first.Store(p)
			p.send(goAway(1))
		default:
			p.send(answer200(f.stream))
		}
	})
	tr := newTransport(t, cfg)
	var slow error
	var wg sync.WaitGroup
	wg.Go(func() { slow = post(t, tr, url, "slow") })
	eventually(t, "the first is under way", func() bool { return first.Load() != nil })
	for range 3 {
		if err := post(t, tr, url, "x"); err != nil {
			t.Errorf("beside a connection that said goodbye: %v", err)
		}
	}
	first.Load().send(answer200(1))
	wg.Wait()
	if slow != nil {
		t.Errorf("the stream that the goodbye let go on: %v", slow)
	}
}

// mute is a server that answers until it is told to be silent, on the connections that are there then, and takes bytes all the same.
type mute struct {
	silent atomic.Int64 // connections up to this one
	pings  atomic.Int64
	conns  atomic.Int64
	slow   atomic.Bool // answers pings and no requests
}

func (d *mute) handle(p *peer, f frame) {
	d.conns.Store(max(d.conns.Load(), int64(p.n)))
	if int64(p.n) <= d.silent.Load() {
		return
	}
	switch f.kind {
	case framePing:
		d.pings.Add(1)
		p.send(frame{framePing, flagAck, 0, f.payload})
	case frameHeaders:
		if !d.slow.Load() {
			p.send(answer200(f.stream))
		}
	}
}

// get sends a GET that has so long for its answer.
func get(t testing.TB, tr http.RoundTripper, url string, patience time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(tr, req)
}

func TestSilentConnectionFailsOneRequestAndTheNextGoesElsewhereAtOnce(t *testing.T) {
	d := &mute{}
	url, cfg := rawServer(t, d.handle)
	tr := newTransport(t, cfg)
	if err := get(t, tr, url, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	d.silent.Store(1)
	if err := get(t, tr, url, 400*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a request into silence: %v", err)
	}
	began := time.Now()
	for range 10 {
		if err := get(t, tr, url, 5*time.Second); err != nil {
			t.Errorf("after the first one failed: %v", err)
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("ten requests after it took %v", took)
	}
	eventually(t, "the silent connection is closed", func() bool { return only(t, tr).Closed[conn.Heartbeat] == 1 })
	if n := d.conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestAnswerThatArrivedAndIsNotReadYetHidesNoSilence(t *testing.T) {
	var silent atomic.Bool
	url, cfg := rawServer(t, func(p *peer, f frame) {
		switch {
		case f.kind != frameHeaders || p.n == 1 && silent.Load():
		case f.stream == 1:
			p.send(frame{frameHeaders, flagEndHeaders, 1, answer200(1).payload}, frame{frameData, flagEndStream, 1, []byte("all of it")})
		default:
			p.send(answer200(f.stream))
		}
	})
	tr := newTransport(t, cfg)
	resp, err := (&http.Client{Transport: tr}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := get(t, tr, url, 5*time.Second); err != nil { // now the whole of the first answer is there
		t.Fatal(err)
	}
	silent.Store(true)
	if err := get(t, tr, url, 300*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a request into silence: %v", err)
	}
	if err := get(t, tr, url, 2*time.Second); err != nil {
		t.Errorf("the request after it went into silence too: %v", err)
	}
}

func TestConnectionToASlowServerThatAnswersPingsIsKept(t *testing.T) {
	d := &mute{}
	url, cfg := rawServer(t, d.handle)
	tr := newTransport(t, cfg)
	if err := get(t, tr, url, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	d.slow.Store(true)
	for range 3 { // net/http pings for the first of them only: see golang/go#70575
		if err := get(t, tr, url, 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a request to a slow server: %v", err)
		}
		eventually(t, "the connection has shown that it is alive", func() bool { return only(t, tr).Idle == 1 })
	}
	d.slow.Store(false)
	if err := get(t, tr, url, 5*time.Second); err != nil {
		t.Error(err)
	}
	if n := d.conns.Load(); n != 1 || d.pings.Load() == 0 {
		t.Errorf("%d connections, %d pings", n, d.pings.Load())
	}
}

func TestRequestsBeyondTheStreamLimitGetConnectionsOfTheirOwn(t *testing.T) {
	const streams, requests = 10, 100
	var at atomic.Int64
	var all atomic.Pointer[chan struct{}]
	s, cfg := newSite(t, "HTTP/2", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		gate := *all.Load()
		if at.Add(1) == requests {
			close(gate)
		}
		select {
		case <-gate: // all of them are served at the same time
		case <-r.Context().Done():
		}
	}), func(s *http.Server) { s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams} })
	tr := newTransport(t, cfg)
	wave := func() {
		gate := make(chan struct{})
		all.Store(&gate)
		at.Store(0)
		var wg sync.WaitGroup
		for range requests {
			wg.Go(func() {
				if err := get(t, tr, s.URL, 20*time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	wave()
	if n := s.conns.Load(); n > requests/streams+2 {
		t.Errorf("%d requests at %d streams a connection took %d connections", requests, streams, n)
	}
	before := s.conns.Load()
	wave()
	if n := s.conns.Load(); n > max(before, requests/streams+2) {
		t.Errorf("the same again took %d connections more", n-before)
	}
}

func TestServerThatAllowsAsManyStreamsAsAreTakenForGrantedIsGivenThemAtOnce(t *testing.T) {
	for _, protocol := range []string{"HTTP/2", "HTTP/2 without TLS"} {
		t.Run(strings.ReplaceAll(protocol, "/", ""), func(t *testing.T) {
			const requests = 50
			var at atomic.Int64
			all := make(chan struct{})
			s, cfg := newSite(t, protocol, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if at.Add(1) == requests {
					close(all)
				}
				select {
				case <-all:
				case <-r.Context().Done():
				}
			}), func(s *http.Server) { s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 100} })
			cfg.Limits.MaxOpen = 1
			tr := newTransport(t, cfg)
			var wg sync.WaitGroup
			for range requests {
				wg.Go(func() {
					if err := get(t, tr, s.URL, 10*time.Second); err != nil {
						t.Errorf("a request that others wait for: %v", err)
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestConnectionIsGivenNoRequestsBeforeItsServerSaidHowManyItTakes(t *testing.T) {
	const requests, streams = 40, 10
	var conns atomic.Int64
	url, cfg := rawServerWith(t, func(p *peer) {
		conns.Store(max(conns.Load(), int64(p.n)))
		time.Sleep(60 * time.Millisecond) // a busy machine, not a distant one
		p.send(frame{kind: frameSettings, payload: []byte{0, 3, 0, 0, 0, streams}})
	}, func(p *peer, f frame) {
		if f.kind == frameHeaders {
			time.AfterFunc(time.Second, func() { p.send(answer200(f.stream)) })
		}
	})
	tr := newTransport(t, cfg)
	var wg sync.WaitGroup
	for range requests {
		wg.Go(func() {
			if err := get(t, tr, url, 10*time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := conns.Load(); n > requests/streams+1 {
		t.Errorf("%d requests at %d streams a connection took %d connections", requests, streams, n)
	}
}

func TestConnectionWhoseServerHasNotSaidHowManyItTakesGetsOneRequest(t *testing.T) {
	for name, said := range map[string]int{"nothing was said before": 0, "the dialler said something": 2} {
		t.Run(name, func(t *testing.T) {
			var early atomic.Int64
			var answered atomic.Bool
			url, cfg := rawServerWith(t, func(*peer) {}, func(p *peer, f frame) {
				switch {
				case f.kind != frameHeaders:
				case answered.Load():
					p.send(answer200(f.stream))
				case early.Add(1) == 1:
					time.AfterFunc(50*time.Millisecond, func() {
						answered.Store(true)
						p.send(frame{kind: frameSettings, payload: []byte{0, 3, 0, 0, 0, 10}}, answer200(f.stream))
					})
				}
			})
			cfg.Limits.MaxOpen = 1
			cfg.Base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := new(guard.Dialer).DialContext(ctx, network, addr)
				for range said {
					if _, err := nc.Write(nil); err != nil {
						t.Error(err)
					}
				}
				return nc, err
			}
			tr := newTransport(t, cfg)
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					if err := get(t, tr, url, 10*time.Second); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := early.Load(); n != 1 {
				t.Errorf("%d requests were sent before the server had said how many it takes", n)
			}
		})
	}
}

func TestManyRequestsOverHTTP2ShareOneConnection(t *testing.T) {
	s, cfg := newSite(t, "HTTP/2", echo)
	tr := newTransport(t, cfg)
	fetch(t, &http.Client{Transport: tr}, "GET", s.URL, "")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 20 {
				fetch(t, &http.Client{Transport: tr}, "POST", s.URL, "text")
			}
		})
	}
	wg.Wait()
	if n := s.conns.Load(); n != 1 {
		t.Errorf("1,000 requests, 50 at once, took %d connections", n)
	}
	if st := only(t, tr); st.Leases != 0 || st.Misuses != 0 {
		t.Errorf("%+v", st)
	}
}

var _ http.RoundTripper = (*herzhttp.Transport)(nil)

func TestServerThatTakesFewRequestsOfEachConnectionIsNotGivenMoreAtOnce(t *testing.T) {
	const callers, each, takes = 24, 20, 3
	var asked atomic.Int64
	url, cfg := rawServer(t, func(p *peer, f frame) {
		if f.kind != frameHeaders {
			return
		}
		asked.Add(1)
		switch last := uint32(2*takes - 1); {
		case f.stream < last:
			p.send(answer200(f.stream))
		case f.stream == last:
			p.send(goAway(last), answer200(last))
		}
	})
	tr := newTransport(t, cfg)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if err := post(t, tr, url, "x"); err != nil {
					t.Errorf("a request that can be sent again: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n > 2*callers*each {
		t.Errorf("%d requests were sent %d times", callers*each, n)
	}
}

// closer is a body that cannot be read a second time, and says when net/http is done with it.
type closer struct {
	io.Reader
	close func()
}

func (c *closer) Close() error { c.close(); return nil }

func TestRequestThatNoConnectionTakesSaysWhyItIsNotSentAgain(t *testing.T) {
	var asked, conns atomic.Int64
	url, cfg := rawServer(t, func(p *peer, f frame) {
		conns.Store(int64(p.n))
		if f.kind == frameHeaders {
			asked.Add(1)
			p.send(goAway(0))
		}
	})
	tr := newTransport(t, cfg)
	err := post(t, tr, url, "x")
	if n := asked.Load(); err == nil || !guard.SafeToRetry(err) || !strings.Contains(err.Error(), fmt.Sprintf("not delivered in %d tries", n)) || n < 2 {
		t.Errorf("after %d tries: %v", n, err)
	}
	if c := conns.Load(); c != asked.Load() {
		t.Errorf("%d tries took %d connections", asked.Load(), c)
	}
	for says, ends := range map[string]bool{"GetBody": false, "before its context ended": true} {
		asked.Store(0)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		body := &closer{strings.NewReader("x"), func() {
			if ends {
				cancel()
			}
		}}
		req, err := http.NewRequestWithContext(ctx, "POST", url, body)
		if err != nil {
			t.Fatal(err)
		}
		if err := do(tr, req); err == nil || !guard.SafeToRetry(err) || !strings.Contains(err.Error(), says) || asked.Load() != 1 {
			t.Errorf("after %d tries: %v, without %q", asked.Load(), err, says)
		}
	}
}

// hold sends n requests at once that get no answer, until stop is called.
func hold(t *testing.T, tr http.RoundTripper, url string, n int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
			if err != nil {
				t.Error(err)
				return
			}
			_ = do(tr, req)
		})
	}
	return func() { cancel(); wg.Wait() }
}

func TestConnectionAfterAGoodbyeIsGivenAsManyRequestsAsTheLastOneTook(t *testing.T) {
	const took = 20
	var held, conns atomic.Int64
	url, cfg := rawServer(t, func(p *peer, f frame) {
		conns.Store(max(conns.Load(), int64(p.n)))
		switch {
		case f.kind != frameHeaders:
		case p.n > 1:
			held.Add(1) // and gets no answer
		case f.stream < 2*took:
			p.send(answer200(f.stream))
		default:
			p.send(goAway(2*took - 1))
		}
	})
	tr := newTransport(t, cfg)
	for range took {
		if err := post(t, tr, url, "x"); err != nil {
			t.Fatal(err)
		}
	}
	stop := hold(t, tr, url, took)
	eventually(t, "all are under way", func() bool { return held.Load() == took })
	stop()
	if n := conns.Load(); n > 3 { // the first, and two, because there may be a second dial until it is known how many the first takes
		t.Errorf("%d requests after the goodbye of a connection that took as many were sent on %d connections", took, n-1)
	}
}

func TestConnectionThatSaysNoGoodbyeIsGivenMoreAndMore(t *testing.T) {
	const callers = 4
	var under, answered, atPeak atomic.Int64
	url, cfg := rawServer(t, func(p *peer, f frame) {
		switch {
		case f.kind != frameHeaders:
		case p.n == 1 && f.stream == 1:
			p.send(answer200(1))
		case p.n == 1:
			p.send(goAway(1))
		default:
			if under.Add(1) == callers {
				atPeak.CompareAndSwap(0, max(answered.Load(), 1))
			}
			time.AfterFunc(10*time.Millisecond, func() {
				under.Add(-1)
				answered.Add(1)
				p.send(answer200(f.stream))
			})
		}
	})
	cfg.Limits.MaxOpen = 1
	tr := newTransport(t, cfg)
	if err := post(t, tr, url, "x"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for atPeak.Load() == 0 {
				if err := post(t, tr, url, "x"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := atPeak.Load(); n > 30 {
		t.Errorf("it was given %d requests at once after %d others", callers, n)
	}
}

func TestRequestsThatLastLongShareConnectionsAgainSoonAfterAGoodbye(t *testing.T) {
	const polls = 20
	var held atomic.Int64
	url, cfg := rawServer(t, func(p *peer, f frame) {
		switch {
		case f.kind != frameHeaders:
		case p.n > 1:
			held.Add(1) // and gets no answer
		case f.stream == 1:
			p.send(answer200(1))
		case f.stream == 9:
			p.send(goAway(3), answer200(3))
		}
	})
	cfg.Limits = pool.Limits{MaxOpen: 2}
	tr := newTransport(t, cfg)
	if err := post(t, tr, url, "x"); err != nil {
		t.Fatal(err)
	}
	stop := hold(t, tr, url, polls)
	eventually(t, "all but the one that the first connection took are under way on two connections", func() bool { return held.Load() == polls-1 })
	stop()
}
