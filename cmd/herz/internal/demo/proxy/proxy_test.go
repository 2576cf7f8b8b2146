package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/cmd/herz/internal/demo/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that answers each line with itself, and knows what it has executed.
type echo struct {
	net.Listener
	mu    sync.Mutex // guards lines
	lines []string
}

func serve(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: l}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = nc.Close() }()
				for r := bufio.NewScanner(nc); r.Scan(); {
					e.mu.Lock()
					e.lines = append(e.lines, r.Text())
					e.mu.Unlock()
					if _, err := io.WriteString(nc, r.Text()+"\n"); err != nil {
						return
					}
				}
			})
		}
	})
	return e
}

func (e *echo) executed() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.lines)
}

func start(t *testing.T) (*echo, *proxy.Proxy) {
	t.Helper()
	e := serve(t)
	p, err := proxy.Listen(t.Context(), e.Addr().String(), 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return e, p
}

func dial(t *testing.T, p *proxy.Proxy) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if got, err := ask(nc, "hello", time.Second); got != "hello" {
		t.Fatalf("the proxy does not pass on: %q, %v", got, err)
	}
	return nc
}

func ask(nc net.Conn, line string, patience time.Duration) (string, error) {
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, line+"\n"); err != nil {
		return "", err
	}
	return hear(nc)
}

func hear(nc net.Conn) (string, error) {
	s, err := bufio.NewReader(nc).ReadString('\n')
	return strings.TrimSuffix(s, "\n"), err
}

// needs ends a test that the kernel does not let this user run; under CI there is no excuse.
func needs(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if errors.Is(err, proxy.ErrRefused) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	t.Fatal(err)
}

func until(t *testing.T, what string, good func() bool) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Second); !good(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("never: " + what)
		}
	}
}

func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func TestOutageLosesPacketsAndTheirSenderSendsThemAgain(t *testing.T) {
	e, p := start(t)
	nc := dial(t, p)
	needs(t, p.Outage())
	if got, err := ask(nc, "lost", 300*time.Millisecond); !timedOut(err) {
		t.Fatalf("got %q, %v during an outage", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if fresh, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.Addr()); err == nil {
		_ = fresh.Close()
		t.Fatal("a dial got through an outage")
	}
	if e.executed() != 1 {
		t.Fatal("a packet got through an outage")
	}
	p.Restore()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	if got, err := hear(nc); got != "lost" {
		t.Fatalf("after the outage got %q, %v", got, err)
	}
	dial(t, p)
}

func TestBlackHoleAcknowledgesNothingAndNewConnectionsWork(t *testing.T) {
	e, p := start(t)
	nc := dial(t, p)
	n, err := p.BlackHole()
	needs(t, err)
	if n != 1 {
		t.Fatalf("%d connections in the hole", n)
	}
	if got, err := ask(nc, "lost", 300*time.Millisecond); !timedOut(err) {
		t.Fatalf("got %q, %v out of a black hole", got, err)
	}
	dial(t, p)
	if _, told := p.Told(nc.LocalAddr().String()); told || e.executed() != 2 {
		t.Fatalf("told %v, executed %d", told, e.executed())
	}
	p.Fill() // what is on its way gets a RST now
	_ = nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err = hear(nc); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("after the hole was filled: %v", err)
	}
}

func TestForgetTellsNobodyUntilTheyAsk(t *testing.T) {
	_, p := start(t)
	needs(t, p.CanForget())
	nc := dial(t, p)
	if n, err := p.Forget(); n != 1 || err != nil {
		t.Fatalf("%d forgotten, %v", n, err)
	}
	_ = nc.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := hear(nc); !timedOut(err) {
		t.Fatalf("the client was told: %v", err)
	}
	if _, err := ask(nc, "anyone?", time.Second); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %v, want a RST", err)
	}
	if _, told := p.Told(nc.LocalAddr().String()); told {
		t.Fatal("the proxy says that it told")
	}
}

func TestCloseIdleClosesOnlyWhatIsIdle(t *testing.T) {
	_, p := start(t)
	idle, busy := dial(t, p), dial(t, p)
	for limit := time.Now().Add(150 * time.Millisecond); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		if _, err := ask(busy, "work", time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.CloseIdle(100 * time.Millisecond); n != 1 {
		t.Fatalf("%d closed", n)
	}
	_ = idle.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := hear(idle); !errors.Is(err, io.EOF) {
		t.Fatalf("got %v, want a FIN", err)
	}
	if _, told := p.Told(idle.LocalAddr().String()); !told {
		t.Fatal("nobody noted the FIN")
	}
	if got, err := ask(busy, "still", time.Second); got != "still" {
		t.Fatalf("the busy one: %q, %v", got, err)
	}
}

func TestAFrozenServerDoesLaterWhatItWasAsked(t *testing.T) {
	e, p := start(t)
	nc := dial(t, p)
	p.Freeze()
	if _, err := ask(nc, "late", 100*time.Millisecond); !timedOut(err) {
		t.Fatalf("got %v from a frozen server", err)
	}
	_ = nc.Close() // as a client does that lost patience
	if e.executed() != 1 {
		t.Fatal("a frozen server did something")
	}
	p.Thaw()
	until(t, "the server does what it was asked for", func() bool { return e.executed() == 2 })
	dial(t, p)
}

func TestALostAnswerWasExecuted(t *testing.T) {
	e, p := start(t)
	first, second := dial(t, p), dial(t, p)
	p.LoseAnswers(1)
	_, err1 := ask(first, "a", time.Second)
	_, err2 := ask(second, "b", time.Second)
	if !errors.Is(err1, syscall.ECONNRESET) || !errors.Is(err2, io.EOF) {
		t.Fatalf("got %v and %v, want a RST and a FIN by turns", err1, err2)
	}
	if e.executed() != 4 {
		t.Fatalf("%d executed, want all 4", e.executed())
	}
	p.LoseAnswers(0)
	dial(t, p)
}

func TestCloseLeavesNothingWhateverGoesOn(t *testing.T) {
	e := serve(t)
	for name, fault := range map[string]func(*proxy.Proxy) error{
		"outage":     (*proxy.Proxy).Outage,
		"black hole": func(p *proxy.Proxy) error { _, err := p.BlackHole(); return err },
		"freeze":     func(p *proxy.Proxy) error { p.Freeze(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			p, err := proxy.Listen(t.Context(), e.Addr().String(), 1)
			if err != nil {
				t.Fatal(err)
			}
			nc := dial(t, p)
			err = fault(p)
			_, _ = ask(nc, "x", 50*time.Millisecond)
			began := time.Now()
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > time.Second || p.Open() != 0 {
				t.Errorf("it took %v, %d left", took, p.Open())
			}
			needs(t, err)
		})
	}
}
