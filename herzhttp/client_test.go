package herzhttp_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzhttp"
)

// These tests are the behaviour that net/http's documentation promises for a Client and its Transport: a Transport of ours must not change it.

func TestRedirectsAreFollowedWithTheMethodThatTheirStatusSays(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if code, ok := strings.CutPrefix(r.URL.Path, "/go/"); ok {
				var n int
				_, _ = fmt.Sscan(code, &n)
				http.Redirect(w, r, "/end", n)
				return
			}
			body, _ := io.ReadAll(r.Body)
			_, _ = fmt.Fprintf(w, "%s %s %q", r.Method, r.URL.Path, body)
		}))
		c := &http.Client{Transport: newTransport(t, cfg)}
		for code, want := range map[int]string{301: `GET /end ""`, 302: `GET /end ""`, 303: `GET /end ""`, 307: `POST /end "text"`, 308: `POST /end "text"`} {
			if _, got := fetch(t, c, "POST", fmt.Sprintf("%s/go/%d", s.URL, code), "text"); got != want {
				t.Errorf("after %d: %s, want %s", code, got, want)
			}
		}
		if n := s.conns.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestCookiesComeBack(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := r.Cookie("seen"); err == nil {
				_, _ = io.WriteString(w, c.Value)
			}
			http.SetCookie(w, &http.Cookie{Name: "seen", Value: "before"})
		}))
		jar, _ := cookiejar.New(nil)
		c := &http.Client{Transport: newTransport(t, cfg), Jar: jar}
		fetch(t, c, "GET", s.URL, "")
		if _, got := fetch(t, c, "GET", s.URL, ""); got != "before" {
			t.Errorf("the cookie is %q", got)
		}
	})
}

func TestTrailersGoBothWays(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "Sum")
			_, _ = io.Copy(w, r.Body)
			w.Header().Set("Sum", "of "+r.Trailer.Get("Asked"))
		}))
		tr := newTransport(t, cfg)
		for range 3 {
			req, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL, io.NopCloser(strings.NewReader("text")))
			req.Trailer = http.Header{"Asked": {"this"}}
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if string(text) != "text" || resp.Trailer.Get("Sum") != "of this" {
				t.Errorf("%q, trailer %v", text, resp.Trailer)
			}
		}
		if n := s.conns.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestServerIsAskedBeforeALargeBodyIsSent(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		var read atomic.Bool
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/no" {
				w.WriteHeader(http.StatusExpectationFailed)
				return
			}
			_, _ = io.Copy(w, r.Body)
		}))
		cfg.Base.ExpectContinueTimeout = 10 * time.Second
		tr := newTransport(t, cfg)
		for path, want := range map[string]int{"/yes": 200, "/no": 417} {
			read.Store(false)
			req, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL+path, &noticed{strings.NewReader("a body"), &read})
			req.ContentLength = 6
			req.Header.Set("Expect", "100-continue")
			began := time.Now()
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != want || read.Load() != (want == 200) || want == 200 && string(text) != "a body" || time.Since(began) > 5*time.Second {
				t.Errorf("%s: %d %q, the body was read: %v, after %v", path, resp.StatusCode, text, read.Load(), time.Since(began))
			}
		}
	})
}

// noticed is a body that notes whether it was read.
type noticed struct {
	io.Reader
	read *atomic.Bool
}

func (n *noticed) Read(p []byte) (int, error) {
	n.read.Store(true)
	return n.Reader.Read(p)
}

func TestInformationalAnswersAreToldAndTheFinalOneIsGiven(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
		}))
		var hints []int
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { hints = append(hints, code); return nil },
		})
		req, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
		resp, err := newTransport(t, cfg).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 202 || fmt.Sprint(hints) != "[103]" {
			t.Errorf("%d after %v", resp.StatusCode, hints)
		}
	})
}

func TestCancelledRequestEndsAtOnceAndLeavesNoLoan(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		release := make(chan struct{})
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/body" {
				_, _ = io.WriteString(w, "begin")
				_ = http.NewResponseController(w).Flush()
			}
			<-release
		}))
		defer close(release)
		tr := newTransport(t, cfg)
		for _, path := range []string{"/head", "/body"} {
			ctx, cancel := context.WithCancelCause(t.Context())
			before := s.requests.Load()
			var wg sync.WaitGroup
			wg.Go(func() {
				eventually(t, "the request is under way", func() bool { return s.requests.Load() > before })
				cancel(errors.New("changed my mind"))
			})
			req, _ := http.NewRequestWithContext(ctx, "GET", s.URL+path, nil)
			began := time.Now()
			err := do(tr, req)
			if err == nil || time.Since(began) > 5*time.Second {
				t.Errorf("%s: %v after %v", path, err, time.Since(began))
			}
			wg.Wait()
			eventually(t, "the loan is over", func() bool { return only(t, tr).Leases == 0 })
		}
	})
}

func TestCompressedAnswersAreUnpackedUnlessTheCallerAskedForThem(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, "unpacked")
			_ = z.Close()
		}))
		tr := newTransport(t, cfg)
		if _, got := fetch(t, &http.Client{Transport: tr}, "GET", s.URL, ""); got != "unpacked" {
			t.Errorf("%q", got)
		}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
		req.Header.Set("Accept-Encoding", "gzip")
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
			t.Errorf("who asked for gzip got %q", raw)
		}
		if n := s.conns.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestUpgradedConnectionBelongsToTheCallerUntilHeClosesIt(t *testing.T) {
	s, cfg := newSite(t, "http/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer nc.Close()
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\n")
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(nc, "you said "+line)
		_, _ = io.Copy(io.Discard, rw)
	}))
	tr := newTransport(t, cfg)
	rw := upgrade(t, tr, s.URL, "echo")
	_, _ = io.WriteString(rw, "hello\n")
	if line, err := bufio.NewReader(rw).ReadString('\n'); line != "you said hello\n" {
		t.Errorf("%q, %v", line, err)
	}
	if st := only(t, tr); st.InUse != 1 {
		t.Errorf("while it is in use: %+v", st)
	}
	_ = rw.Close()
	if st := only(t, tr); st.InUse != 0 || st.Closed[conn.MaxUses] != 1 {
		t.Errorf("after Close: %+v", st)
	}
}

func TestUpgradedConnectionEndsInOneDirectionAtATimeAndCleanly(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "http/1.1 over TLS"} {
		for path, want := range map[string]string{"/last-words": "bye", "/silent": ""} {
			s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				nc, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				defer nc.Close()
				_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				_, _ = io.Copy(io.Discard, rw) // until the caller ends his side
				if r.URL.Path == "/last-words" {
					_, _ = io.WriteString(nc, "bye")
				}
			}))
			rw := upgrade(t, newTransport(t, cfg), s.URL+path, "echo")
			_, _ = io.WriteString(rw, "hello")
			half, ok := rw.(interface{ CloseWrite() error })
			if !ok {
				t.Fatalf("%s: the body is a %T without CloseWrite", protocol, rw)
			}
			if err := half.CloseWrite(); err != nil {
				t.Errorf("%s: %v", protocol, err)
			}
			if got, err := io.ReadAll(rw); string(got) != want || err != nil {
				t.Errorf("%s%s: after the end of our side %q, %v", protocol, path, got, err)
			}
			_ = rw.Close()
		}
	}
}

func TestUpgradeIsPossibleWhereTheServerSpeaksHTTP2(t *testing.T) {
	s, cfg := newSite(t, "HTTP/2", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, r.Proto)
			return
		}
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer nc.Close()
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(nc, rw)
	}))
	tr := newTransport(t, cfg)
	for range 2 {
		if _, got := fetch(t, &http.Client{Transport: tr}, "GET", s.URL, ""); got != "HTTP/2.0" {
			t.Errorf("beside an upgrade %s is spoken", got)
		}
		rw := upgrade(t, tr, s.URL, "websocket")
		_, _ = io.WriteString(rw, "hello\n")
		if line, err := bufio.NewReader(rw).ReadString('\n'); line != "hello\n" {
			t.Errorf("%q, %v", line, err)
		}
		_ = rw.Close()
	}
	names := map[string]bool{}
	for _, p := range tr.Pools() {
		names[p.Name()] = true
	}
	if at := s.Listener.Addr().String(); len(names) != 2 || !names[at] || !names[at+" (HTTP/1.1)"] {
		t.Errorf("the pools are %v", names)
	}
}

// upgrade asks for another protocol and gives the connection.
func upgrade(t *testing.T, tr http.RoundTripper, url, protocol string) io.ReadWriteCloser {
	t.Helper()
	req, _ := http.NewRequestWithContext(withTimeout(t, 20*time.Second), "GET", url, nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocol)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	rw, ok := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		t.Fatalf("%d, the body is a %T", resp.StatusCode, resp.Body)
	}
	return rw
}

func TestRequestsGoThroughAProxy(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "http/1.1 over TLS", "HTTP/2"} {
		t.Run(strings.ReplaceAll(protocol, "/", ""), func(t *testing.T) {
			s, cfg := newSite(t, protocol, echo)
			var seen atomic.Pointer[string]
			p, _ := newSite(t, "http/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				what := r.Method + " " + r.RequestURI
				seen.Store(&what)
				if r.Method == http.MethodConnect {
					tunnel(w, r)
					return
				}
				_, _ = io.WriteString(w, "by proxy")
			}))
			at, _ := url.Parse(p.URL)
			cfg.Base.Proxy = http.ProxyURL(at)
			c := &http.Client{Transport: newTransport(t, cfg)}
			_, got := fetch(t, c, "POST", s.URL+"/path", "text")
			want, asked := "by proxy", "POST "+s.URL+"/path"
			if s.TLS != nil {
				want, asked = "text", "CONNECT "+s.Listener.Addr().String()
			}
			if said := seen.Load(); got != want || said == nil || *said != asked {
				t.Errorf("%q; the proxy was asked for %v", got, said)
			}
		})
	}
}

func TestProxyIsAskedForByTheHostThatTheRequestNames(t *testing.T) {
	for rawURL, want := range map[string]string{
		"http://api.test/a": "api.test", "http://api.test:80/a": "api.test", "https://api.test/a": "api.test", "http://api.test:8080/a": "api.test:8080",
		"https://api.test:80/a": "api.test:80", "http://[::1]/a": "[::1]", "http://[::1]:8080/a": "[::1]:8080", "http://127.0.0.1:8080/a": "127.0.0.1:8080",
	} {
		var asked atomic.Pointer[http.Request]
		enough := errors.New("that is all")
		tr := newTransport(t, herzhttp.Config{Base: &http.Transport{Proxy: func(r *http.Request) (*url.URL, error) {
			asked.Store(r)
			return nil, enough
		}}})
		req, _ := http.NewRequestWithContext(t.Context(), "GET", rawURL, http.NoBody)
		if err := do(tr, req); !errors.Is(err, enough) {
			t.Errorf("%s: %v", rawURL, err)
		}
		if r := asked.Load(); r == nil || r.URL.Host != want || r.Host != want || r.URL.Scheme != req.URL.Scheme {
			t.Errorf("%s: the proxy was asked for with %+v, the host is %q", rawURL, r, want)
		}
	}
}

// tunnel is what a proxy does for CONNECT.
func tunnel(w http.ResponseWriter, r *http.Request) {
	to, err := net.Dial("tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer to.Close()
	from, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer from.Close()
	_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(to, rw); _ = to.Close() })
	_, _ = io.Copy(from, to)
	_ = from.Close()
	wg.Wait()
}

func TestDialsOfTheCallersOwnAreGuardedToo(t *testing.T) {
	s, cfg := newSite(t, "http/1.1", echo)
	var dials atomic.Int64
	cfg.Base.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		dials.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, network, s.Listener.Addr().String())
	}
	tr := newTransport(t, cfg)
	c := &http.Client{Transport: tr}
	for range 3 {
		fetch(t, c, "POST", "http://nowhere.example/", "x")
	}
	if dials.Load() != 1 {
		t.Errorf("%d dials", dials.Load())
	}
	s.CloseClientConnections()
	eventually(t, "the guard has seen the end", func() bool { return only(t, tr).Idle == 0 })
}

func TestBodyOfTheRequestIsClosedWhateverHappens(t *testing.T) {
	s, cfg := newSite(t, "http/1.1", echo)
	tr := newTransport(t, cfg)
	closed := newTransport(t, herzhttp.Config{})
	_ = closed.Close()
	for name, c := range map[string]struct {
		tr  http.RoundTripper
		url string
	}{
		"an answer": {tr, s.URL}, "no connection": {tr, "http://127.0.0.1:1/"}, "no such scheme": {tr, "ftp://x/"}, "a closed transport": {closed, s.URL},
	} {
		b := &shut{Reader: strings.NewReader("x")}
		req, _ := http.NewRequestWithContext(t.Context(), "POST", c.url, b)
		_ = do(c.tr, req)
		eventually(t, name+": the body is closed", func() bool { return b.closed.Load() > 0 })
	}
}

func TestRequestThatCannotBeSentCostsNoConnectionAndItsBodyIsClosedOnce(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, echo)
		tr := newTransport(t, cfg)
		if err := post(t, tr, s.URL, "x"); err != nil {
			t.Fatal(err)
		}
		for name, spoil := range map[string]func(*http.Request){
			"no header":          func(r *http.Request) { r.Header = nil },
			"an invalid name":    func(r *http.Request) { r.Header["a b"] = []string{"x"} },
			"an invalid value":   func(r *http.Request) { r.Header["A"] = []string{"a\nb"} },
			"an invalid trailer": func(r *http.Request) { r.Trailer = http.Header{"a b": {"x"}} },
			"an invalid method":  func(r *http.Request) { r.Method = "GE T" },
			"a context that is over": func(r *http.Request) {
				ctx, cancel := context.WithCancel(r.Context())
				cancel()
				*r = *r.WithContext(ctx)
			},
		} {
			b := &shut{Reader: strings.NewReader("x")}
			req, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL, b)
			spoil(req)
			if err := do(tr, req); err == nil || errors.Is(err, guard.ErrAmbiguous) {
				t.Errorf("%s: %v", name, err)
			}
			eventually(t, name+": the body is closed", func() bool { return b.closed.Load() > 0 })
			if n := b.closed.Load(); n != 1 {
				t.Errorf("%s: the body was closed %d times", name, n)
			}
		}
		if n := s.conns.Load(); n != 1 || only(t, tr).Leases != 0 || s.requests.Load() != 1 {
			t.Errorf("%d connections, %d requests, %+v", n, s.requests.Load(), only(t, tr))
		}
	})
}

func TestFailureOfTheCallersBodyIsNoNewsOfTheConnection(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, echo)
		tr := newTransport(t, cfg)
		broken := errors.New("the disk is gone")
		for name, fails := range map[string]error{"an error of its own": broken, "one that speaks of a stream": refusal{StreamID: 1, Code: refusedStream}} {
			req, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL, &shut{Reader: io.MultiReader(strings.NewReader("x"), failing{fails})})
			if err := do(tr, req); !errors.Is(err, fails) || guard.SafeToRetry(err) || errors.Is(err, guard.ErrAmbiguous) {
				t.Errorf("%s: %v, safe to retry: %v, ambiguous: %v", name, err, guard.SafeToRetry(err), errors.Is(err, guard.ErrAmbiguous))
			}
			// It can write itself to the peer, as a strings.Reader can.
			plain := io.NopCloser(bufio.NewReader(io.MultiReader(strings.NewReader("x"), failing{fails})))
			req, _ = http.NewRequestWithContext(t.Context(), "POST", s.URL, plain)
			if err := do(tr, req); !errors.Is(err, fails) || guard.SafeToRetry(err) || errors.Is(err, guard.ErrAmbiguous) {
				t.Errorf("%s, read through a buffer: %v, safe to retry: %v, ambiguous: %v", name, err, guard.SafeToRetry(err), errors.Is(err, guard.ErrAmbiguous))
			}
		}
	})
}

// refusal has the fields of net/http's error of a stream that a server refused, as another connection's may come through a proxy.
type refusal struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (r refusal) Error() string { return "stream refused" }

// As fills in any structure with the same fields, as net/http's error does.
func (r refusal) As(target any) bool {
	into := reflect.ValueOf(target).Elem()
	if into.Kind() != reflect.Struct || !into.FieldByName("StreamID").IsValid() || !into.FieldByName("Code").IsValid() {
		return false
	}
	into.FieldByName("StreamID").SetUint(uint64(r.StreamID))
	into.FieldByName("Code").SetUint(uint64(r.Code))
	return true
}

// failing is a reader that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAnswerNamesTheRequestOfItsCaller(t *testing.T) {
	v := newVillain(t, villains["executes and resets"])
	tr := newTransport(t, herzhttp.Config{})
	for i := range 2 { // the second is repeated
		req, _ := http.NewRequestWithContext(t.Context(), "PUT", v.url, &shut{Reader: strings.NewReader("x")})
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }
		req.Header.Set("Idempotency-Key", "1")
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.Request != req {
			t.Errorf("answer %d names a copy", i)
		}
	}
}

// shut is a body that counts how often it was closed.
type shut struct {
	io.Reader
	closed atomic.Int64
}

func (s *shut) Close() error { s.closed.Add(1); return nil }

func TestRequestIsNotChanged(t *testing.T) {
	v := newVillain(t, villains["executes and resets"])
	tr := newTransport(t, herzhttp.Config{})
	for range 2 { // the second is repeated
		req, _ := http.NewRequestWithContext(t.Context(), "POST", v.url, strings.NewReader("x"))
		req.Header.Set("Idempotency-Key", "1")
		body, header := req.Body, len(req.Header)
		if err := do(tr, req); err != nil {
			t.Fatal(err)
		}
		if req.Body != body || len(req.Header) != header {
			t.Error("the caller's request was changed")
		}
	}
}
