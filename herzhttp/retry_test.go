package herzhttp_test

import (
	"bufio"
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
)

// villain is a server that answers the first request of a connection, executes each further one, and does to its connection what a test says.
type villain struct {
	url string
	l   net.Listener
	do  func(nc *net.TCPConn, in *bufio.Reader, req *http.Request, executed func())

	mu    sync.Mutex // guards times
	times map[string]int
	conns atomic.Int64
}

func newVillain(t *testing.T, do func(nc *net.TCPConn, in *bufio.Reader, req *http.Request, executed func())) *villain {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &villain{url: "http://" + l.Addr().String(), l: l, do: do, times: map[string]int{}}
	var wg sync.WaitGroup
	open := sync.Map{}
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			v.conns.Add(1)
			open.Store(nc, nc)
			wg.Go(func() { v.serve(nc.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		open.Range(func(nc, _ any) bool { _ = nc.(net.Conn).Close(); return true })
		wg.Wait()
	})
	return v
}

func (v *villain) serve(nc *net.TCPConn) {
	defer nc.Close()
	in := bufio.NewReader(nc)
	for n := 0; ; n++ {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		executed := func() {
			_, _ = io.Copy(io.Discard, req.Body)
			v.mu.Lock()
			defer v.mu.Unlock()
			v.times[req.Header.Get("X-Id")]++
		}
		if n == 0 {
			executed()
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			continue
		}
		v.do(nc, in, req, executed)
		return
	}
}

// twice lists what was executed more than once.
func (v *villain) twice() (list []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, n := range v.times {
		if n > 1 {
			list = append(list, fmt.Sprintf("%s %d times", id, n))
		}
	}
	return list
}

var villains = map[string]func(nc *net.TCPConn, in *bufio.Reader, req *http.Request, executed func()){
	"executes and resets": func(nc *net.TCPConn, _ *bufio.Reader, _ *http.Request, executed func()) {
		executed()
		_ = nc.SetLinger(0)
	},
	"executes and closes": func(_ *net.TCPConn, _ *bufio.Reader, _ *http.Request, executed func()) { executed() },
	"half-closes and executes": func(nc *net.TCPConn, _ *bufio.Reader, _ *http.Request, executed func()) {
		_ = nc.CloseWrite()
		executed()
		time.Sleep(20 * time.Millisecond) // so that the end of its sending side arrives before that of its receiving side
	},
	"closes without a look": func(nc *net.TCPConn, _ *bufio.Reader, _ *http.Request, _ func()) { _ = nc.Close() },
	"answers half a head": func(nc *net.TCPConn, _ *bufio.Reader, _ *http.Request, executed func()) {
		executed()
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-")
	},
	"says that it has begun, and closes": func(nc *net.TCPConn, _ *bufio.Reader, _ *http.Request, executed func()) {
		executed()
		_, _ = io.WriteString(nc, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
	},
}

func TestPostIsNeverExecutedTwiceWhateverTheServerDoes(t *testing.T) {
	for name, acts := range villains {
		t.Run(name, func(t *testing.T) {
			v := newVillain(t, acts)
			tr := newTransport(t, herzhttp.Config{})
			failed := 0
			for i := range 60 {
				req, _ := http.NewRequestWithContext(t.Context(), "POST", v.url, strings.NewReader("an order"))
				req.Header.Set("X-Id", fmt.Sprint(i))
				err := do(tr, req)
				if err == nil {
					continue
				}
				failed++
				if !errors.Is(err, guard.ErrAmbiguous) || guard.SafeToRetry(err) {
					t.Fatalf("POST %d: %v: ambiguous %v, safe to retry %v", i, err, errors.Is(err, guard.ErrAmbiguous), guard.SafeToRetry(err))
				}
			}
			if list := v.twice(); len(list) > 0 {
				t.Errorf("executed more than once: %v", list)
			}
			if failed == 0 {
				t.Error("nothing failed, so that nothing was tried")
			}
		})
	}
}

func TestRequestThatIsHarmlessToRepeatIsRepeated(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"GET":                            func(r *http.Request) { r.Method, r.Body, r.GetBody, r.ContentLength = "GET", nil, nil, 0 },
		"HEAD":                           func(r *http.Request) { r.Method, r.Body, r.GetBody, r.ContentLength = "HEAD", nil, nil, 0 },
		"POST with a key":                func(r *http.Request) { r.Header.Set("Idempotency-Key", "7f3a") },
		"POST with net/http's other key": func(r *http.Request) { r.Header["X-Idempotency-Key"] = nil },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVillain(t, villains["executes and resets"])
			tr := newTransport(t, herzhttp.Config{})
			for i := range 20 {
				req, _ := http.NewRequestWithContext(t.Context(), "POST", v.url, strings.NewReader("an order"))
				change(req)
				if err := do(tr, req); err != nil {
					t.Fatalf("request %d: %v", i, err)
				}
			}
			if v.conns.Load() < 15 {
				t.Errorf("%d connections for 20 requests, so that nothing was tried", v.conns.Load())
			}
		})
	}
}

func TestIdempotentMethodsThatWriteAreNotRepeated(t *testing.T) {
	for _, method := range []string{"PUT", "DELETE", "PATCH"} {
		v := newVillain(t, villains["executes and resets"])
		tr := newTransport(t, herzhttp.Config{})
		var errs []error
		for range 2 {
			req, _ := http.NewRequestWithContext(t.Context(), method, v.url, strings.NewReader("x"))
			errs = append(errs, do(tr, req))
		}
		if errs[0] != nil || !errors.Is(errs[1], guard.ErrAmbiguous) || v.conns.Load() != 1 {
			t.Errorf("%s: %v over %d connections", method, errs, v.conns.Load())
		}
	}
}

func TestAmbiguousErrorSaysWhatToDo(t *testing.T) {
	v := newVillain(t, villains["executes and resets"])
	tr := newTransport(t, herzhttp.Config{})
	_ = post(t, tr, v.url, "x")
	err := post(t, tr, v.url, "x")
	a, ok := errors.AsType[*herzhttp.AmbiguousError](err)
	if !ok || a.Method != "POST" || a.Host != strings.TrimPrefix(v.url, "http://") {
		t.Fatalf("%#v", err)
	}
	for _, part := range []string{"POST to " + a.Host + " may have been executed", "was not repeated", "Idempotency-Key"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestOrderThatMayHaveBeenPlacedIsAmbiguousThoughItsRepetitionWasNot(t *testing.T) {
	var v *villain
	v = newVillain(t, func(nc *net.TCPConn, _ *bufio.Reader, _ *http.Request, executed func()) {
		executed()
		_ = v.l.Close() // so that the repetition finds no connection
		_ = nc.SetLinger(0)
	})
	tr := newTransport(t, herzhttp.Config{})
	var err error
	for range 2 {
		req, _ := http.NewRequestWithContext(withTimeout(t, 20*time.Second), "POST", v.url, strings.NewReader("an order"))
		req.Header.Set("Idempotency-Key", "7f3a")
		err = do(tr, req)
	}
	if !errors.Is(err, guard.ErrAmbiguous) || guard.SafeToRetry(err) || !strings.Contains(err.Error(), "with the same Idempotency-Key") {
		t.Errorf("%v: ambiguous %v, safe to retry %v", err, errors.Is(err, guard.ErrAmbiguous), guard.SafeToRetry(err))
	}
}

func TestPostThatRanOutOfTimeIsAmbiguousAndATimeout(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		release := make(chan struct{})
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		defer close(release)
		req, _ := http.NewRequestWithContext(withTimeout(t, 100*time.Millisecond), "POST", s.URL, strings.NewReader("x"))
		err := do(newTransport(t, cfg), req)
		timed, ok := errors.AsType[interface {
			error
			Timeout() bool
		}](err)
		if !errors.Is(err, guard.ErrAmbiguous) || !errors.Is(err, context.DeadlineExceeded) || !ok || !timed.Timeout() {
			t.Errorf("%v", err)
		}
	})
}

func TestPostThatItsCallerGaveUpSaysSoWhateverTheCause(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		release, arrived := make(chan struct{}), make(chan struct{})
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(arrived)
			<-release
		}))
		defer close(release)
		ctx, cancel := context.WithCancelCause(withTimeout(t, 20*time.Second))
		defer cancel(nil)
		go func() {
			<-arrived
			cancel(errors.New("a sibling failed")) // as an errgroup does
		}()
		req, _ := http.NewRequestWithContext(ctx, "POST", s.URL, strings.NewReader("x"))
		if err := do(newTransport(t, cfg), req); !errors.Is(err, guard.ErrAmbiguous) || !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// oneWay is a body that can be read once.
type oneWay struct{ io.Reader }

func TestIdleConnectionThatTheServerClosedCostsNoRequest(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "http/1.1 over TLS", "HTTP/2"} {
		t.Run(strings.ReplaceAll(protocol, "/", ""), func(t *testing.T) {
			s, cfg := newSite(t, protocol, echo)
			tr := newTransport(t, cfg)
			for i := range 30 {
				req, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL, oneWay{strings.NewReader("x")})
				if err := do(tr, req); err != nil {
					t.Fatalf("POST %d after the server had closed the idle connection: %v", i, err)
				}
				s.CloseClientConnections()
				eventually(t, "the pool has seen it", func() bool { return only(t, tr).Idle == 0 })
			}
		})
	}
}

func TestServersWordOfItsIdleTimeoutIsHeeded(t *testing.T) {
	s, cfg := newSite(t, "http/1.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Keep-Alive", "max=100, timeout=2")
	}))
	tr := newTransport(t, cfg)
	c := &http.Client{Transport: tr}
	fetch(t, c, "GET", s.URL, "")
	time.Sleep(200 * time.Millisecond)
	fetch(t, c, "GET", s.URL, "")
	if n := s.conns.Load(); n != 1 {
		t.Errorf("a connection that rested for 0.2 s of 2 s was given up: %d", n)
	}
	time.Sleep(1700 * time.Millisecond)
	fetch(t, c, "GET", s.URL, "")
	if n, st := s.conns.Load(), only(t, tr); n != 2 || st.Closed[conn.MaxIdle] != 1 {
		t.Errorf("a connection that rested for 1.7 s of 2 s was used: %d, %+v", n, st)
	}
}

func TestServersOfOneHostAreHeededEachByItsOwnWord(t *testing.T) {
	var both sync.WaitGroup
	s, cfg := newSite(t, "http/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Keep-Alive", "timeout="+r.URL.Query().Get("says"))
		_, _ = io.WriteString(w, "done")
		both.Done()
		both.Wait() // so that there are two connections
	}))
	tr := newTransport(t, cfg)
	c := &http.Client{Transport: tr}
	both.Add(2)
	var wg sync.WaitGroup
	for _, says := range []string{"1", "60"} {
		wg.Go(func() { fetch(t, c, "GET", s.URL+"/?says="+says, "") })
	}
	wg.Wait()
	time.Sleep(900 * time.Millisecond)
	both.Add(2)
	for range 2 {
		wg.Go(func() { fetch(t, c, "GET", s.URL+"/?says=60", "") })
	}
	wg.Wait()
	if n, st := s.conns.Load(), only(t, tr); n != 3 || st.Closed[conn.MaxIdle] != 1 {
		t.Errorf("of a connection that is kept for 1 s and one that is kept for 60 s, after 0.9 s: %d more were made, %+v", n-2, st)
	}
}

func TestRestBeginsWithTheLastByteAndNotWithTheCloseOfTheBody(t *testing.T) {
	s, cfg := newSite(t, "http/1.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Keep-Alive", "timeout=1")
		_, _ = io.WriteString(w, "all of it")
	}))
	tr := newTransport(t, cfg)
	resp, err := (&http.Client{Transport: tr}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(900 * time.Millisecond) // the server counts already
	_ = resp.Body.Close()
	fetch(t, &http.Client{Transport: tr}, "GET", s.URL, "")
	if n := s.conns.Load(); n != 2 {
		t.Errorf("a connection that had rested for 0.9 s of 1 s was used: %d", n)
	}
}

func TestIdleTimeoutOfTheServerIsLearnedAndNoConnectionMeetsIt(t *testing.T) {
	const timeout = 200 * time.Millisecond
	s, cfg := newSite(t, "http/1.1", echo, func(s *http.Server) { s.IdleTimeout = timeout })
	tr := newTransport(t, cfg)
	c := &http.Client{Transport: tr}
	for range 4 {
		fetch(t, c, "POST", s.URL, "x")
		eventually(t, "the server has closed it", func() bool { return only(t, tr).Idle == 0 })
	}
	fetch(t, c, "POST", s.URL, "x")
	before := only(t, tr)
	time.Sleep(timeout * 9 / 10)
	fetch(t, c, "POST", s.URL, "x")
	if st := only(t, tr); st.Closed[conn.MaxIdle] != before.Closed[conn.MaxIdle]+1 && st.Closed[conn.PeerFIN] == before.Closed[conn.PeerFIN] {
		t.Errorf("a connection that rested for 0.9 of what the server allows was used: %+v", st)
	}
}

func TestPoolOfAHostIsFoundAndItsLimitsChange(t *testing.T) {
	s, cfg := newSite(t, "http/1.1", echo)
	tr := newTransport(t, cfg)
	fetch(t, &http.Client{Transport: tr}, "GET", s.URL, "")
	src, ok := tr.Pool("http", s.Listener.Addr().String())
	if !ok || src.Name() != s.Listener.Addr().String() {
		t.Fatal("not found")
	}
	l := src.Limits()
	if l.MaxOpen != herzhttp.DefaultMaxOpen || l.MaxIdleTime != herzhttp.DefaultMaxIdleTime {
		t.Errorf("%+v", l)
	}
	if _, ok := tr.Pool("https", s.Listener.Addr().String()); ok {
		t.Error("a pool was found that is not there")
	}
}
