package herzhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/herzhttp"
)

// delay is what the defaults of Alignment give: 5 s + 2 s + 1 s.
const delay = 8 * time.Second

func TestHealthFailsWhileTheServerStillAcceptsAndServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &http.Server{Handler: done}, herzhttp.ServerConfig{})
		if got := r.status("GET", "/readyz"); got != 200 {
			t.Errorf("before: the health check got %d", got)
		}
		r.end()
		for time.Since(r.left) < delay {
			if got := r.status("GET", "/readyz"); got != 503 {
				t.Errorf("after %v the health check got %d", time.Since(r.left), got)
			}
			if got := r.status("POST", "/"); got != 200 {
				t.Errorf("after %v a request got %d", time.Since(r.left), got)
			}
			time.Sleep(time.Second - time.Millisecond)
		}
		synctest.Wait()
		if _, err := r.ask("GET", "/"); !errors.Is(err, errRefused) {
			t.Errorf("after %v a client was still let in: %v", time.Since(r.left), err)
		}
		if took, err := r.wait(); err != nil || took > delay+time.Second {
			t.Errorf("the end took %v: %v", took, err)
		}
	})
}

func TestEveryAnswerOfALeavingServerIsTheLastOfItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &http.Server{Handler: done}, herzhttp.ServerConfig{})
		k := r.connect()
		for range 3 {
			if status, closes := k.get("/"); status != 200 || closes {
				t.Fatalf("before: %d, closes %t", status, closes)
			}
		}
		r.end()
		time.Sleep(delay - time.Millisecond)
		if status, closes := k.get("/"); status != 200 || !closes {
			t.Errorf("while it leaves: %d, closes %t", status, closes)
		}
		if err := k.ends(); !errors.Is(err, io.EOF) {
			t.Errorf("after its last answer the connection is open: %v", err)
		}
		if _, err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestIdleConnectionIsNotClosedBeforeTheBalancerHasNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &http.Server{Handler: done}, herzhttp.ServerConfig{})
		k := r.connect()
		k.get("/")
		r.end()
		err := k.ends()
		if after := time.Since(r.left); after < delay || after > delay+time.Second || !errors.Is(err, io.EOF) {
			t.Errorf("an idle connection was closed %v after the health check failed, want %v: %v", after, delay, err)
		}
		if _, err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestServerSaysWhenItsBalancerHasNotNoticed(t *testing.T) {
	const late, unasked = "requests came until the listener closed", "nobody asked the health check"
	for _, c := range []struct {
		name  string
		cfg   herzhttp.ServerConfig
		act   func(r *rig)
		warns []string
	}{
		{"it asked, and stopped in time", herzhttp.ServerConfig{}, func(r *rig) {
			r.status("GET", "/readyz")
			r.status("GET", "/")
			time.Sleep(delay - time.Second)
			r.status("GET", "/readyz")
		}, nil},
		{"it never asked", herzhttp.ServerConfig{}, func(r *rig) { r.status("GET", "/") }, []string{unasked}},
		{"it asked, and still sends", herzhttp.ServerConfig{}, func(r *rig) {
			r.status("GET", "/readyz")
			time.Sleep(delay - time.Second/2)
			r.status("GET", "/")
		}, []string{late}},
		{"it does not ask", herzhttp.ServerConfig{Alignment: herzhttp.Alignment{Notice: herzhttp.ByWithdrawal}}, func(*rig) {}, nil},
		{"it has no time to ask", herzhttp.ServerConfig{Alignment: herzhttp.Alignment{DrainDelay: -1}}, func(*rig) {}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, &http.Server{Handler: done}, c.cfg)
				r.end()
				c.act(r)
				if _, err := r.wait(); err != nil {
					t.Error(err)
				}
				for _, words := range []string{late, unasked} {
					if got, want := len(r.log.with("level=WARN", words)), slices.Contains(c.warns, words); (got == 1) != want || got > 1 {
						t.Errorf("%q is said %d times: %v", words, got, r.log.with())
					}
				}
			})
		})
	}
}

func TestUpgradeIsNotToldToClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &http.Server{Handler: done}, herzhttp.ServerConfig{})
		k := r.connect()
		r.end()
		if _, closes := k.get("/", "Connection: Upgrade\r\n", "Upgrade: websocket\r\n"); closes {
			t.Error("the answer to a request for an upgrade says Connection: close beside what the handler says")
		}
		r.wait()
	})
}

func TestRequestInFlightEndsBeforeThePoolsDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const work = 15 * time.Second
		p := newTank("orders", 2*time.Second)
		h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(work) })
		r := run(t, &http.Server{Handler: h}, herzhttp.ServerConfig{Pools: []herzhttp.Drainer{p}})
		answered := make(chan int, 1)
		go func() { answered <- r.status("POST", "/") }()
		synctest.Wait()
		r.end()
		took, err := r.wait()
		if got := <-answered; got != 200 || err != nil {
			t.Errorf("the request in flight got %d: %v", got, err)
		}
		if begun := (<-p.begun).Sub(r.left); begun < work {
			t.Errorf("the pool began to drain after %v, and the request needed it for %v", begun, work)
		}
		if took < work+2*time.Second || took > work+3*time.Second {
			t.Errorf("the end took %v", took)
		}
	})
}

func TestEndlessRequestIsCutInTimeForThePools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, hung := newTank("orders", 4*time.Second), newTank("hung", time.Hour)
		cut := make(chan time.Time, 1)
		h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); cut <- time.Now() })
		r := run(t, &http.Server{Handler: h}, herzhttp.ServerConfig{Pools: []herzhttp.Drainer{p, hung}})
		go r.status("GET", "/")
		synctest.Wait()
		r.end()
		took, err := r.wait()
		if err == nil || !strings.Contains(err.Error(), "1 requests had not ended") || !strings.Contains(err.Error(), "drain hung") || strings.Contains(err.Error(), "orders") {
			t.Errorf("the error is %v", err)
		}
		if at := (<-cut).Sub(r.left); at != 24*time.Second { // 30 s − 1 s for the exit − 5 s for the pools
			t.Errorf("the request was cut after %v", at)
		}
		if took != 29*time.Second {
			t.Errorf("the end took %v, and the process is killed after 30 s", took)
		}
		select {
		case <-hung.closed:
		default:
			t.Error("the pool that could not drain was not closed")
		}
		if len(r.log.with("requests are cut", "in_flight=1")) != 1 || len(r.log.with("pool drained", "pool=orders", "took=4s")) != 1 ||
			len(r.log.with("did not drain in time", "pool=hung", "took=5s")) != 1 {
			t.Errorf("the log is %v", r.log.with())
		}
	})
}

func TestConnectionThatBelongsToItsHandlerIsNoRequestThatIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, ok := w.(http.Flusher); !ok {
				t.Errorf("a %T cannot flush", w)
			}
			nc, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			<-over
		})
		cfg := herzhttp.ServerConfig{Alignment: herzhttp.Alignment{Notice: herzhttp.ByWithdrawal, Grace: 4 * time.Second}}
		r := run(t, &http.Server{Handler: h}, cfg)
		if status, _ := r.connect().get("/", "Connection: Upgrade\r\n", "Upgrade: websocket\r\n"); status != http.StatusSwitchingProtocols {
			t.Fatal(status)
		}
		r.connect() // net/http waits for its first request for five seconds, and there are not so many
		r.end()
		if _, err := r.wait(); err != nil {
			t.Errorf("nothing was cut: %v", err)
		}
		if len(r.log.with("the listener closes", "in_flight=0")) != 1 {
			t.Errorf("the log is %v", r.log.with())
		}
		close(over)
	})
}

func TestShutdownKeepsToTheTimeOfItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTank("orders", time.Hour)
		r := run(t, &http.Server{Handler: done}, herzhttp.ServerConfig{Pools: []herzhttp.Drainer{p}})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		r.left = time.Now()
		both := make(chan error, 1)
		go func() { both <- r.server.Shutdown(context.Background()) }()
		synctest.Wait()
		if err := r.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(r.left) != 4*time.Second {
			t.Errorf("a second call waited for %v, its context for 4 s: %v", time.Since(r.left), err)
		}
		if err := r.server.Shutdown(t.Context()); err == nil || time.Since(r.left) != 29*time.Second {
			t.Errorf("a third call ended after %v with %v; it gets the result of the first", time.Since(r.left), err)
		}
		if err := <-both; err == nil || !strings.Contains(err.Error(), "drain orders") {
			t.Errorf("the first call says of the pool: %v", err)
		}
		<-r.ended

		r = run(t, &http.Server{Handler: done}, herzhttp.ServerConfig{Pools: []herzhttp.Drainer{newTank("orders", time.Hour)}})
		r.left = time.Now()
		ctx, cancel = context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		if err := r.server.Shutdown(ctx); err == nil || time.Since(r.left) != 4*time.Second {
			t.Errorf("with 4 s it took %v: %v", time.Since(r.left), err)
		}
		if len(r.log.with("the listener closes before the balancer has noticed", "too_early=5s")) != 1 { // 8 s wanted; 4 s less a quarter for the pools
			t.Errorf("the log is %v", r.log.with())
		}
		<-r.ended
	})
}

func TestClosingALeavingServerEndsItAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTank("orders", time.Hour)
		r := run(t, &http.Server{Handler: done}, herzhttp.ServerConfig{Pools: []herzhttp.Drainer{p}})
		r.end()
		time.Sleep(time.Second)
		r.server.Close()
		took, err := r.wait()
		if !errors.Is(err, herzhttp.ErrCut) || took != time.Second {
			t.Errorf("it took %v: %v", took, err)
		}
		select {
		case <-p.closed:
		default:
			t.Error("its pool was not closed")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &http.Server{Handler: done}, herzhttp.ServerConfig{})
		r.server.Close()
		if err := <-r.ended; !errors.Is(err, herzhttp.ErrCut) || time.Since(r.began) != 0 {
			t.Errorf("Close of a server that serves: it took %v: %v", time.Since(r.began), err)
		}
	})
}

func TestBrokenListenerDrainsThePoolsWithoutADelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTank("orders", time.Second)
		r := run(t, &http.Server{Handler: done}, herzhttp.ServerConfig{Pools: []herzhttp.Drainer{p}})
		r.left = time.Now()
		r.ln.Close()
		took, err := r.wait()
		if !errors.Is(err, net.ErrClosed) || took > 2*time.Second || len(p.begun) != 1 {
			t.Errorf("it took %v, %d pools drained: %v", took, len(p.begun), err)
		}
	})
}

func TestBalancerThatLearnsByAnswersIsToldByThoseThatAreSafeToRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &http.Server{Handler: done}, herzhttp.ServerConfig{Alignment: herzhttp.Alignment{Notice: herzhttp.ByAnswers}})
		for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 200} {
			if got := r.status(method, "/"); got != want {
				t.Errorf("before: %s got %d", method, got)
			}
		}
		r.end()
		for method, want := range map[string]int{"GET": 503, "HEAD": 503, "POST": 200, "DELETE": 200} {
			if got := r.status(method, "/"); got != want {
				t.Errorf("while it leaves: %s got %d, want %d", method, got, want)
			}
		}
		r.wait()
	})
}

// overHTTP2 sends requests as a balancer does that speaks HTTP/2: get gives the body or the error, dialled how many connections were made for them.
func (r *rig) overHTTP2() (get func(path string) string, dialled func() int) {
	r.t.Helper()
	var only http.Protocols
	only.SetUnencryptedHTTP2(true)
	dials := 0
	tr := &http.Transport{Protocols: &only, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials++
		return r.ln.dial(ctx, network, addr)
	}}
	r.t.Cleanup(tr.CloseIdleConnections)
	get = func(path string) string {
		resp, err := (&http.Client{Transport: tr}).Get("http://lab" + path)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.ProtoMajor != 2 {
			return fmt.Sprintf("%s: %v", resp.Proto, err)
		}
		return string(body)
	}
	return get, func() int { return dials }
}

func TestHTTP2ConnectionIsGivenUpWhenTheBalancerMustHaveNoticedAndItsStreamsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var both http.Protocols
		both.SetUnencryptedHTTP2(true)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				time.Sleep(5 * time.Second)
			}
			_, _ = io.WriteString(w, "done")
		})
		r := run(t, &http.Server{Handler: h, Protocols: &both}, herzhttp.ServerConfig{})
		get, dialled := r.overHTTP2()
		get("/")
		synctest.Wait() // the connection is free again
		slow := make(chan string, 1)
		go func() { slow <- get("/slow") }()
		synctest.Wait()
		if dials := dialled(); dials != 1 {
			t.Fatalf("two requests dialled %d connections", dials)
		}
		r.end()
		for time.Since(r.left) < delay-time.Second { // 1 s is Propagation
			three(t, get)
			time.Sleep(time.Second - time.Millisecond)
		}
		if dials := dialled(); dials != 1 {
			t.Errorf("%d connections before the balancer must have noticed: a GOAWAY came, which refuses what is under way", dials)
		}
		time.Sleep(time.Until(r.left.Add(delay - time.Second)))
		go func() { slow <- get("/slow") }()
		synctest.Wait()
		three(t, get)
		if dials := dialled(); dials < 3 {
			t.Errorf("%d connections for three requests after that: no GOAWAY came", dials)
		}
		for range 2 {
			if got := <-slow; got != "done" {
				t.Errorf("a stream that was open: %s", got)
			}
		}
		if took, err := r.wait(); err != nil || took > delay+6*time.Second {
			t.Errorf("the end took %v: %v", took, err)
		}
	})
}

// three sends three requests, one after the other, to a server that leaves.
func three(t *testing.T, get func(path string) string) {
	t.Helper()
	for range 3 {
		if got := get("/"); got != "done" {
			t.Errorf("while it leaves: %s", got)
		}
		synctest.Wait()
	}
}

// Nobody says how long the news of a withdrawal takes: the endpoint may be used until Propagation is over.
func TestHTTP2ConnectionIsNotGivenUpWhileTheNewsOfAWithdrawalIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var both http.Protocols
		both.SetUnencryptedHTTP2(true)
		cfg := herzhttp.ServerConfig{Alignment: herzhttp.Alignment{Notice: herzhttp.ByWithdrawal, Propagation: 5 * time.Second}}
		r := run(t, &http.Server{Handler: done, Protocols: &both}, cfg)
		get, dialled := r.overHTTP2()
		get("/")
		synctest.Wait()
		r.end()
		for time.Since(r.left) < 4*time.Second {
			three(t, get)
			if dials := dialled(); dials != 1 {
				t.Errorf("%d connections %v after the order: a GOAWAY came, and the endpoint may be used for 5 s", dials, time.Since(r.left))
				break
			}
			time.Sleep(time.Second)
		}
		synctest.Wait() // the server's time is over in the same moment
		three(t, get)
		if dials := dialled(); dials < 3 {
			t.Errorf("%d connections in the last second: no GOAWAY came before the listener closes", dials)
		}
		if _, err := r.wait(); err != nil {
			t.Error(err)
		}
		if late := r.log.with("requests came until the listener closed"); len(late) > 0 {
			t.Errorf("whoever was told to leave in the last second, and left, is complained of: %v", late)
		}
	})
}

func TestWhatTheProgramSetStays(t *testing.T) {
	mine := &http.Server{Handler: done, IdleTimeout: 61 * time.Second, ReadHeaderTimeout: 3 * time.Second}
	log := &lines{}
	s, err := herzhttp.NewServer(mine, herzhttp.ServerConfig{Logger: slogTo(log)})
	if err != nil || mine.IdleTimeout != 61*time.Second || mine.ReadHeaderTimeout != 3*time.Second || s.Alignment().ServerIdle != 61*time.Second {
		t.Errorf("idle %v, header %v: %v", mine.IdleTimeout, mine.ReadHeaderTimeout, err)
	}
	if len(log.with("level=WARN", "severity=warning", "change=ServerIdle", "set ServerIdle ≥ 1m5s")) != 1 {
		t.Errorf("what does not fit was not logged: %v", log.with())
	}
	bare := &http.Server{}
	if _, err := herzhttp.NewServer(bare, herzhttp.ServerConfig{Alignment: herzhttp.Alignment{BalancerIdle: 75 * time.Second}}); err != nil ||
		bare.IdleTimeout != 80*time.Second || bare.ReadHeaderTimeout != 80*time.Second {
		t.Errorf("idle %v, header %v: %v", bare.IdleTimeout, bare.ReadHeaderTimeout, err)
	}
	endless := &http.Server{IdleTimeout: -1}
	if s, err := herzhttp.NewServer(endless, herzhttp.ServerConfig{}); err != nil || endless.IdleTimeout != -1 || len(s.Alignment().Check()) > 0 {
		t.Errorf("idle %v, %v: %v", endless.IdleTimeout, s.Alignment().Check(), err)
	}
	if _, err := herzhttp.NewServer(nil, herzhttp.ServerConfig{Alignment: herzhttp.Alignment{Notice: 9}}); err == nil {
		t.Error("a way to learn that there is not was taken")
	}
}

func TestHealthCheckStandsWhereItIsPut(t *testing.T) {
	for _, c := range []struct {
		path, ask string
		want      string
	}{
		{"", "/readyz", "ok\n"},
		{"", "/", "done"},
		{"/up", "/up", "ok\n"},
		{"/up", "/readyz", "done"},
		{herzhttp.NoHealthPath, "/readyz", "done"},
		{herzhttp.NoHealthPath, "-", "done"},
	} {
		hs := &http.Server{Handler: done}
		if _, err := herzhttp.NewServer(hs, herzhttp.ServerConfig{HealthPath: c.path}); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		req := httptest.NewRequest("GET", "/", nil)
		req.URL.Path = c.ask
		hs.Handler.ServeHTTP(w, req)
		if w.Body.String() != c.want {
			t.Errorf("HealthPath %q: %s says %q, want %q", c.path, c.ask, w.Body, c.want)
		}
	}
}

func TestTLSIsSpokenWhereThereIsACertificate(t *testing.T) {
	other := httptest.NewTLSServer(nil)
	defer other.Close()
	s, err := herzhttp.NewServer(&http.Server{Handler: done, TLSConfig: other.TLS.Clone()}, herzhttp.ServerConfig{
		Alignment: herzhttp.Alignment{DrainDelay: -1}, Logger: slogTo(&lines{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	c := other.Client()
	resp, err := c.Get("https://" + ln.Addr().String() + "/readyz")
	if err != nil {
		t.Error(err)
	} else {
		resp.Body.Close()
	}
	c.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestFirstSignalDrainsAndTheSecondEndsAtOnce(t *testing.T) {
	log := &lines{}
	s, err := herzhttp.NewServer(&http.Server{Addr: "127.0.0.1:0", Handler: done}, herzhttp.ServerConfig{
		Alignment: herzhttp.Alignment{DrainDelay: time.Hour, Grace: 3 * time.Hour}, Logger: slogTo(log),
	})
	if err != nil {
		t.Fatal(err)
	}
	me, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	serving := make(chan struct{})
	guardFirst(t) // the test's process lives on, however early the signal comes
	ended := make(chan error, 1)
	go func() { close(serving); ended <- herzhttp.Run(t.Context(), s, os.Interrupt) }()
	<-serving
	for sent := 0; ; sent++ { // until Run listens
		if err := me.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.Draining():
		case <-timeAfter(t, 50*time.Millisecond):
			continue
		}
		break
	}
	if err := me.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, herzhttp.ErrCut) {
			t.Errorf("after the second signal: %v", err)
		}
	case <-timeAfter(t, 20*time.Second):
		t.Fatal("20 s after the second signal the server is still there")
	}
	if len(log.with("told to end", "signal=interrupt")) < 2 {
		t.Errorf("the log is %v", log.with())
	}
}
