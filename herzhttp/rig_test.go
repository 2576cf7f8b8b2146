package herzhttp_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/herzhttp"
)

// pipes is a listener inside the process, so that the time of a test is virtual.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

var errRefused = errors.New("connection refused")

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case <-p.closed: // the listener is looked at first: a select takes either
		return nil, errRefused
	default:
	}
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, errRefused
	}
}

// rig is a server that runs, and its clients.
type rig struct {
	t      *testing.T
	server *herzhttp.Server
	ln     *pipes
	log    *lines
	leave  context.CancelFunc
	ended  chan error // of Serve
	began  time.Time
	left   time.Time // when it was told to leave
}

// run serves h inside the bubble of a test.
func run(t *testing.T, hs *http.Server, cfg herzhttp.ServerConfig) *rig {
	t.Helper()
	r := &rig{t: t, ln: newPipes(), log: &lines{}, ended: make(chan error, 1), began: time.Now()}
	cfg.Logger = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := herzhttp.NewServer(hs, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.server, r.leave = s, cancel
	go func() { r.ended <- s.Serve(ctx, r.ln) }()
	synctest.Wait()
	return r
}

// end tells the server to leave.
func (r *rig) end() {
	r.left = time.Now()
	r.leave()
	synctest.Wait()
}

// wait waits for the end of Serve and says how long after the order that was.
func (r *rig) wait() (time.Duration, error) {
	err := <-r.ended
	return time.Since(r.left), err
}

// ask sends a request on a connection of its own.
func (r *rig) ask(method, path string) (status int, err error) {
	r.t.Helper()
	c := &http.Client{Transport: &http.Transport{DialContext: r.ln.dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://lab"+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// status is what ask gets; 0 without an answer.
func (r *rig) status(method, path string) int {
	r.t.Helper()
	status, err := r.ask(method, path)
	if err != nil {
		return 0
	}
	return status
}

// kept is a connection that a balancer keeps.
type kept struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
}

func (r *rig) connect() *kept {
	r.t.Helper()
	nc, err := r.ln.dial(r.t.Context(), "", "")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close() })
	return &kept{r.t, nc, bufio.NewReader(nc)}
}

// get sends a request and says whether the connection lives on.
func (k *kept) get(path string, headers ...string) (status int, closes bool) {
	k.t.Helper()
	if _, err := fmt.Fprintf(k.nc, "GET %s HTTP/1.1\r\nHost: lab\r\n%s\r\n", path, strings.Join(headers, "")); err != nil {
		k.t.Fatalf("a request on a kept connection: %v", err)
	}
	resp, err := http.ReadResponse(k.in, nil)
	if err != nil {
		k.t.Fatalf("the answer on a kept connection: %v", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		k.t.Fatal(err)
	}
	return resp.StatusCode, resp.Close
}

// ends waits until the server closes the connection.
func (k *kept) ends() error {
	_, err := k.in.ReadByte()
	return err
}

var done = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "done") })

// lines is a log.
type lines struct {
	mu   sync.Mutex // guards text; nothing else happens under it
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// with are the lines that have all of the words.
func (l *lines) with(words ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.Lines(l.text.String()) {
		has := true
		for _, w := range words {
			has = has && strings.Contains(line, w)
		}
		if has {
			found = append(found, line)
		}
	}
	return found
}

// tank is a pool that says when it was drained.
type tank struct {
	name   string
	takes  time.Duration // until it is drained; it ends with its context before
	begun  chan time.Time
	closed chan struct{}
}

func newTank(name string, takes time.Duration) *tank {
	return &tank{name, takes, make(chan time.Time, 1), make(chan struct{}, 1)}
}

func (p *tank) Name() string { return p.name }

func (p *tank) Drain(ctx context.Context) error {
	p.begun <- time.Now()
	t := time.NewTimer(p.takes)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain %s: %w", p.name, ctx.Err())
	}
}

func (p *tank) Close() error { p.closed <- struct{}{}; return nil }

func slogTo(l *lines) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// guardFirst keeps an interrupt that nobody listens to yet from ending the process.
func guardFirst(t *testing.T) {
	t.Helper()
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	t.Cleanup(func() { signal.Stop(c) })
}

// timeAfter is a timer that is stopped with the test.
func timeAfter(t *testing.T, d time.Duration) <-chan time.Time {
	t.Helper()
	timer := time.NewTimer(d)
	t.Cleanup(func() { timer.Stop() })
	return timer.C
}
