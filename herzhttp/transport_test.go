package herzhttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/herzhttp"
	"herz.example/herz/pool"
)

func TestRequestsOneAfterTheOtherShareOneConnection(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, echo)
		tr := newTransport(t, cfg)
		c := &http.Client{Transport: tr}
		for i := range 20 {
			want := fmt.Sprintf("text %d", i)
			if status, got := fetch(t, c, "POST", s.URL, want); status != 200 || got != want {
				t.Fatalf("answer %d %q, want %q", status, got, want)
			}
		}
		if n := s.conns.Load(); n != 1 {
			t.Errorf("20 requests took %d connections", n)
		}
		if st := only(t, tr); st.Idle != 1 || st.Leases != 0 || st.Misuses != 0 || st.Acquires != 20 {
			t.Errorf("%+v", st)
		}
	})
}

func TestProtocolIsTheOneThatWasAgreedOn(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
		var dials dialed
		cfg.Watch = &dials
		_, got := fetch(t, &http.Client{Transport: newTransport(t, cfg)}, "GET", s.URL, "")
		want := "HTTP/1.1"
		if strings.HasPrefix(protocol, "HTTP/2") {
			want = "HTTP/2.0"
		}
		if got != want {
			t.Errorf("spoken is %s, want %s", got, want)
		}
		d, tries := dials.all()
		if len(d) != 1 || d[0].HTTP2 != (want == "HTTP/2.0") || d[0].Connect <= 0 || (d[0].TLS > 0) != (s.TLS != nil) || d[0].Network != "tcp" || d[0].Err != nil ||
			d[0].Remote != s.Listener.Addr().String() {
			t.Errorf("the dial is told as %+v", d)
		}
		if len(tries) != 1 || tries[0].Status != 200 || tries[0].FirstByte <= 0 || tries[0].Conn != d[0].Conn || tries[0].HTTP2 != d[0].HTTP2 {
			t.Errorf("the try is told as %+v", tries)
		}
	})
}

// dialed is a Watch that remembers.
type dialed struct {
	mu    sync.Mutex // guards what follows
	dials []herzhttp.Dial
	tries []herzhttp.Try
}

func (d *dialed) Dialed(x herzhttp.Dial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dials = append(d.dials, x)
}

func (d *dialed) Tried(x herzhttp.Try) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries = append(d.tries, x)
}

func (d *dialed) all() ([]herzhttp.Dial, []herzhttp.Try) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dials, d.tries
}

// leaveUnread makes n requests, one after the other, and closes the bodies of their answers.
func leaveUnread(t *testing.T, tr *herzhttp.Transport, url string, n int) {
	t.Helper()
	for range n {
		resp, err := (&http.Client{Transport: tr}).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}

func TestBodyThatNobodyReadsCostsNoConnectionWhileItIsSmall(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		for _, size := range []int{1, 5000, 60000} {
			s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write(bytes.Repeat([]byte("x"), size))
			}))
			cfg.DrainTime = time.Second
			tr := newTransport(t, cfg)
			leaveUnread(t, tr, s.URL, 10)
			if n := s.conns.Load(); n != 1 {
				t.Errorf("10 answers of %d bytes that were not read took %d connections", size, n)
			}
		}
	})
}

func TestAsMuchOfABodyIsReadAsANumberCanSay(t *testing.T) {
	s, cfg := newSite(t, "http/1.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "done") }))
	cfg.DrainBytes, cfg.DrainTime = math.MaxInt64, time.Second
	tr := newTransport(t, cfg)
	leaveUnread(t, tr, s.URL, 3)
	if n := s.conns.Load(); n != 1 {
		t.Errorf("3 answers that were not read took %d connections", n)
	}
}

func TestBodyThatIsLargeOrLateIsNotWaitedFor(t *testing.T) {
	release := make(chan struct{})
	s, cfg := newSite(t, "http/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			_, _ = w.Write(make([]byte, 4<<20))
			return
		}
		_, _ = io.WriteString(w, "begin")
		_ = http.NewResponseController(w).Flush()
		<-release
	}))
	defer close(release)
	tr := newTransport(t, cfg)
	for _, path := range []string{"/large", "/late"} {
		resp, err := (&http.Client{Transport: tr}).Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_ = resp.Body.Close()
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s: to close the body took %v", path, took)
		}
	}
	if st := only(t, tr); st.Idle != 0 || st.InUse != 0 || st.Closed[conn.MaxUses] != 2 {
		t.Errorf("connections with an answer left in them: %+v", st)
	}
}

func TestConnectionThatTheServerEndsIsNotUsedAgain(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close") // over HTTP/2 Go's server sends a GOAWAY for it
			_, _ = io.WriteString(w, "last")
		}))
		c := &http.Client{Transport: newTransport(t, cfg)}
		for range 5 {
			fetch(t, c, "POST", s.URL, "x")
		}
		if n := s.conns.Load(); n != 5 {
			t.Errorf("5 requests to a server that closes after each took %d connections", n)
		}
	})
}

func TestConnectionServesAsManyRequestsAsMaxUsesSays(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, echo)
		cfg.Limits.MaxUses = 20
		c := &http.Client{Transport: newTransport(t, cfg)}
		for range 100 {
			fetch(t, c, "POST", s.URL, "x")
		}
		if n := s.conns.Load(); n != 5 {
			t.Errorf("100 requests at 20 a connection took %d connections", n)
		}
	})
}

func TestNoMoreThanMaxIdleConnectionsRestOverAllHosts(t *testing.T) {
	tr := newTransport(t, herzhttp.Config{MaxIdle: 3})
	c := &http.Client{Transport: tr}
	var sites []*site
	for range 5 {
		s, _ := newSite(t, "http/1.1", echo)
		sites = append(sites, s)
		fetch(t, c, "GET", s.URL, "")
		time.Sleep(20 * time.Millisecond) // the pools' clocks tell by 10 ms which rested longest
	}
	idle := func() (list []int) {
		for _, p := range tr.Pools() {
			list = append(list, p.Stats().Idle)
		}
		return list
	}
	if got := fmt.Sprint(idle()); got != "[0 0 1 1 1]" {
		t.Errorf("idle connections by host, the one that was used first in front: %s", got)
	}
	fetch(t, c, "GET", sites[4].URL, "")
	if n := sites[4].conns.Load(); n != 1 {
		t.Errorf("the host that was used last lost its connection: %d", n)
	}
}

func TestBodiesThatTheirCallersLoseLeaveRoomForNoMoreThanMaxIdleConnections(t *testing.T) {
	const lost = 4
	var all sync.WaitGroup // so that each has a connection of its own
	s, cfg := newSite(t, "http/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/all" {
			all.Done()
			all.Wait()
		}
		_, _ = io.WriteString(w, "done")
	}))
	cfg.MaxIdle = 1
	cfg.Limits.LeakAfter = time.Hour // each loan is sampled
	tr := newTransport(t, cfg)
	for range lost {
		lose(t, tr, s.URL)
	}
	eventually(t, "the collector finds the lost bodies", func() bool {
		runtime.GC()
		return only(t, tr).Open == 0
	})
	all.Add(lost)
	var wg sync.WaitGroup
	for range lost {
		wg.Go(func() { fetch(t, &http.Client{Transport: tr}, "GET", s.URL+"/all", "") })
	}
	wg.Wait()
	if st := only(t, tr); st.Idle > 1 {
		t.Errorf("after %d lost bodies %d connections rest, and MaxIdle is 1: %+v", lost, st.Idle, st)
	}
}

// lose gets an answer and forgets its body; nothing of it stays on the caller's stack.
//
//go:noinline
func lose(t *testing.T, tr *herzhttp.Transport, url string) {
	req, _ := http.NewRequestWithContext(t.Context(), "GET", url, http.NoBody)
	if _, err := tr.RoundTrip(req); err != nil { //nolint:bodyclose // that is the test
		t.Fatal(err)
	}
}

func TestWhatMinIdleAsksForIsNotCountedAgainstMaxIdle(t *testing.T) {
	warm, cfg := newSite(t, "http/1.1", echo)
	cfg.MaxIdle = 1
	at := warm.Listener.Addr().String()
	cfg.HostLimits = func(address string) (pool.Limits, bool) { return pool.Limits{MinIdle: 3}, address == at }
	tr := newTransport(t, cfg)
	if err := tr.WarmUp(withTimeout(t, 10*time.Second), warm.URL); err != nil {
		t.Fatal(err)
	}
	other, _ := newSite(t, "http/1.1", echo)
	c := &http.Client{Transport: tr}
	for range 4 {
		fetch(t, c, "GET", other.URL, "") // and none to the first host: a loan there may have it make one more
	}
	eventually(t, "the server has accepted what the kernel has", func() bool { return warm.conns.Load() >= 3 })
	if a, b := warm.conns.Load(), other.conns.Load(); a != 3 || b != 1 {
		t.Errorf("%d connections to the host that is kept warm, %d to the other", a, b)
	}
}

func TestWhatMinIdleNoLongerAsksForIsCountedAgainstMaxIdle(t *testing.T) {
	warm, cfg := newSite(t, "http/1.1", echo)
	cfg.MaxIdle = 1
	at := warm.Listener.Addr().String()
	cfg.HostLimits = func(address string) (pool.Limits, bool) { return pool.Limits{MinIdle: 3}, address == at }
	tr := newTransport(t, cfg)
	if err := tr.WarmUp(withTimeout(t, 10*time.Second), warm.URL); err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: tr}
	other, _ := newSite(t, "http/1.1", echo)
	for range 2 {
		fetch(t, c, "GET", other.URL, "")
	}
	p, _ := tr.Pool("http", at)
	l := p.Limits()
	l.MinIdle = 0
	if err := p.(interface{ SetLimits(l pool.Limits) error }).SetLimits(l); err != nil {
		t.Fatal(err)
	}
	fetch(t, c, "GET", other.URL, "")
	rest := 0
	for _, p := range tr.Pools() {
		rest += p.Stats().Idle
	}
	if rest != 1 {
		t.Errorf("%d connections rest, and MaxIdle is 1", rest)
	}
}

func TestAnswerWithoutABodyEndsTheLoanThoughNobodyClosesIt(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "DELETE" {
				w.WriteHeader(http.StatusNoContent)
			}
		}))
		tr := newTransport(t, cfg)
		for _, method := range []string{"HEAD", "DELETE", "GET"} {
			req, _ := http.NewRequestWithContext(t.Context(), method, s.URL, http.NoBody)
			if _, err := tr.RoundTrip(req); err != nil { //nolint:bodyclose // that is the test
				t.Fatal(err)
			}
			if n := only(t, tr).Leases; n != 0 {
				t.Errorf("%s: %d loans go on", method, n)
			}
		}
	})
}

func TestEnrolledPoolLeavesOnce(t *testing.T) {
	var left atomic.Int64
	s, cfg := newSite(t, "http/1.1", echo)
	cfg.Enroll = func(pool.Source) func() { return func() { left.Add(1) } }
	tr := newTransport(t, cfg)
	fetch(t, &http.Client{Transport: tr}, "GET", s.URL, "")
	if err := errors.Join(tr.Drain(withTimeout(t, 10*time.Second)), tr.Close(), tr.Close()); err != nil {
		t.Error(err)
	}
	if n := left.Load(); n != 1 {
		t.Errorf("it left %d times", n)
	}
}

func TestPoolThatIsEnrolledForGoodIsClosedLikeOthers(t *testing.T) {
	s, cfg := newSite(t, "http/1.1", echo)
	cfg.Enroll = func(pool.Source) func() { return nil }
	tr := newTransport(t, cfg)
	fetch(t, &http.Client{Transport: tr}, "GET", s.URL, "")
	if err := tr.Close(); err != nil || only(t, tr).Open != 0 {
		t.Errorf("%v, %+v", err, only(t, tr))
	}
}

func TestHostHasNoMoreConnectionsThanMaxOpenAndCallersAreServedInOrder(t *testing.T) {
	release := make(chan struct{})
	var mu sync.Mutex
	var order []string // as the server sees it: over one connection, one after the other
	s, cfg := newSite(t, "http/1.1", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			<-release
			return
		}
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.URL.Path)
	}))
	cfg.Limits.MaxOpen = 1
	tr := newTransport(t, cfg)
	c := &http.Client{Transport: tr}
	var wg sync.WaitGroup
	wg.Go(func() { fetch(t, c, "GET", s.URL+"/first", "") })
	eventually(t, "the first is under way", func() bool { return s.requests.Load() == 1 })
	for i := range 5 {
		wg.Go(func() {
			fetch(t, c, "GET", s.URL+"/"+strconv.Itoa(i), "")
		})
		eventually(t, "it waits", func() bool { return only(t, tr).Waiting == i+1 })
	}
	close(release)
	wg.Wait()
	if s.conns.Load() != 1 {
		t.Errorf("%d connections", s.conns.Load())
	}
	if got := fmt.Sprint(order); got != "[/0 /1 /2 /3 /4]" {
		t.Errorf("served in the order %s", got)
	}
}

func TestContextThatEndsWhileItWaitsForAConnectionIsTold(t *testing.T) {
	release := make(chan struct{})
	s, cfg := newSite(t, "http/1.1", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	cfg.Limits.MaxOpen = 1
	tr := newTransport(t, cfg)
	var wg sync.WaitGroup
	wg.Go(func() { fetch(t, &http.Client{Transport: tr}, "GET", s.URL, "") })
	eventually(t, "the first is under way", func() bool { return s.requests.Load() == 1 })
	req, _ := http.NewRequestWithContext(withTimeout(t, 50*time.Millisecond), "GET", s.URL, nil)
	resp, err := tr.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, pool.ErrExhausted) {
		t.Errorf("%v", err)
	}
	_, err = (&http.Client{Transport: tr, Timeout: 50 * time.Millisecond}).Get(s.URL) //nolint:bodyclose // there is none
	if timed, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); !ok || !timed.Timeout() {
		t.Errorf("a client's time-out is not told as one: %v", err)
	}
	close(release)
	wg.Wait()
}

func TestTimeInWhichAnUnreadBodyIsDrainedNeverFailsTheNextRequest(t *testing.T) {
	s, cfg := newSite(t, "http/1.1", echo)
	cfg.DrainTime = time.Microsecond // as short as a busy machine makes the usual one
	c := &http.Client{Transport: newTransport(t, cfg)}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 200 {
				resp, err := c.Post(s.URL, "text/plain", strings.NewReader("x"))
				if err != nil {
					t.Errorf("%v", err)
					return
				}
				_ = resp.Body.Close()
			}
		})
	}
	wg.Wait()
}

func TestServerThatEndsItsConnectionsAllTheTimeCostsNoRequest(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		var n atomic.Int64
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if n.Add(1)%7 == 0 {
				w.Header().Set("Connection", "close") // over HTTP/2 a GOAWAY, while other requests are on their way
			}
			_, _ = io.WriteString(w, "done")
		}))
		tr := newTransport(t, cfg)
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 100 {
					if status, text := fetch(t, &http.Client{Transport: tr}, "POST", s.URL, "x"); status != 200 || text != "done" {
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestHostsWithoutConnectionsAreForgotten(t *testing.T) {
	var shown atomic.Int64
	enroll := func(pool.Source) func() { shown.Add(1); return func() { shown.Add(-1) } }
	tr := newTransport(t, herzhttp.Config{Limits: pool.Limits{MaxOpen: 1}, Enroll: enroll})
	herzhttp.ForgetAtOnce(t)
	c := &http.Client{Transport: tr}
	for range 100 {
		s, _ := newSite(t, "http/1.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
		fetch(t, c, "GET", s.URL, "")
		eventually(t, "the connection is gone", func() bool { p := tr.Pools(); return p[len(p)-1].Stats().Open == 0 })
	}
	if n := len(tr.Pools()); n > 40 || int(shown.Load()) != n {
		t.Errorf("%d pools for 100 hosts that are not used any more, and %d are shown", n, shown.Load())
	}
	s, _ := newSite(t, "http/1.1", echo)
	for range 2 {
		fetch(t, c, "GET", s.URL, "")
	}
	if s.conns.Load() != 1 {
		t.Errorf("%d connections", s.conns.Load())
	}
	_ = tr.Close()
	if shown.Load() != 0 {
		t.Errorf("%d pools of a closed transport are shown", shown.Load())
	}
}

func TestHostThatWasForgottenIsMetAnew(t *testing.T) {
	tr := newTransport(t, herzhttp.Config{})
	herzhttp.ForgetAtOnce(t)
	c := &http.Client{Transport: tr}
	brief := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	first, _ := newSite(t, "http/1.1", brief)
	for range 3 {
		fetch(t, c, "GET", first.URL, "")
	}
	forgotten := func() bool {
		return !slices.ContainsFunc(tr.Pools(), func(p pool.Source) bool { return strings.HasSuffix(first.URL, p.Name()) })
	}
	for n := 0; !forgotten(); n++ {
		if n == 100 {
			t.Fatal("the first host is remembered, though a hundred came after it")
		}
		s, _ := newSite(t, "http/1.1", brief)
		fetch(t, c, "GET", s.URL, "")
	}
	if status, _ := fetch(t, c, "GET", first.URL, ""); status != 200 {
		t.Errorf("status %d", status)
	}
}

func TestRequestWithoutAURLIsRefused(t *testing.T) {
	if _, err := newTransport(t, herzhttp.Config{}).RoundTrip(&http.Request{}); err == nil || !strings.Contains(err.Error(), "no URL") { //nolint:bodyclose // there is none
		t.Errorf("%v", err)
	}
}

func TestTransportThatIsDrainedLetsRequestsEndAndTakesNoNewOnes(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		release := make(chan struct{})
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			<-release
			_, _ = io.WriteString(w, "done")
		}))
		tr := newTransport(t, cfg)
		c := &http.Client{Transport: tr}
		var wg sync.WaitGroup
		wg.Go(func() {
			if status, text := fetch(t, c, "GET", s.URL, ""); status != 200 || text != "done" {
				t.Errorf("a request under way got %d %q", status, text)
			}
		})
		eventually(t, "it is under way", func() bool { return s.requests.Load() == 1 })
		if err := tr.Drain(withTimeout(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a drain while a request is under way: %v", err)
		}
		if _, err := c.Get(s.URL); !errors.Is(err, herzhttp.ErrClosed) { //nolint:bodyclose // there is none
			t.Errorf("a request to a drained transport: %v", err)
		}
		close(release)
		if err := tr.Drain(withTimeout(t, 10*time.Second)); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

func TestAddressThatCannotBeReachedIsRefusedInWords(t *testing.T) {
	tr := newTransport(t, herzhttp.Config{})
	for url, want := range map[string]string{
		"ftp://example.com/":  "neither http nor https",
		"http:///path":        "no host",
		"http://münchen.de/":  "Punycode",
		"http://127.0.0.1:1/": "connect to 127.0.0.1:1",
	} {
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something about %q", url, err, want)
		}
	}
	if _, err := herzhttp.New(herzhttp.Config{Limits: pool.Limits{MinIdle: 5, MaxOpen: 2}}); err == nil || !strings.Contains(err.Error(), "MinIdle") {
		t.Errorf("limits that cannot work: %v", err)
	}
}

func TestTraceOfTheCallerSeesItsConnection(t *testing.T) {
	s, cfg := newSite(t, "http/1.1", echo)
	tr := newTransport(t, cfg)
	for i := range 2 {
		var asked string
		var got httptrace.GotConnInfo
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GetConn: func(hostPort string) { asked = hostPort },
			GotConn: func(info httptrace.GotConnInfo) { got = info },
		})
		req, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if asked != s.Listener.Addr().String() || got.Conn == nil || got.Reused != (i == 1) || got.WasIdle != (i == 1) {
			t.Errorf("request %d: asked for %q, got %+v", i, asked, got)
		}
	}
}

func TestMinIdleConnectionsAreReadyAfterWarmUp(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		s, cfg := newSite(t, protocol, echo)
		cfg.Limits.MinIdle = 3
		tr := newTransport(t, cfg)
		if err := tr.WarmUp(withTimeout(t, 10*time.Second), s.URL); err != nil {
			t.Fatal(err)
		}
		if st := only(t, tr); st.Idle != 3 {
			t.Errorf("%+v", st)
		}
		tr.CloseIdleConnections()
		if st := only(t, tr); st.Idle != 3 {
			t.Errorf("after CloseIdleConnections: %+v", st)
		}
	})
}
