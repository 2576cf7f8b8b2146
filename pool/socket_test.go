package pool_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// peer is a TCP server that keeps the connections it accepted.
type peer struct {
	net.Listener
	accepted chan net.Conn
	wg       sync.WaitGroup
}

func newPeer(t testing.TB) *peer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{Listener: ln, accepted: make(chan net.Conn, 1024)}
	p.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.accepted <- c
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		p.wg.Wait()
		close(p.accepted)
		for c := range p.accepted {
			_ = c.Close()
		}
	})
	return p
}

func (s *peer) pool(t testing.TB, change func(*pool.Config[net.Conn])) *pool.Pool[net.Conn] {
	t.Helper()
	d := &guard.Dialer{}
	cfg := pool.Config[net.Conn]{Name: "sockets", Dial: func(ctx context.Context) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", s.Addr().String())
	}}
	if change != nil {
		change(&cfg)
	}
	p, err := pool.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Drain(context.Background()) })
	return p
}

func lend(t testing.TB, p *pool.Pool[net.Conn]) pool.Lease[net.Conn] {
	t.Helper()
	l, err := p.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestIdleConnectionThatThePeerLeftGoesWithinMicroseconds(t *testing.T) {
	s := newPeer(t)
	p := s.pool(t, nil)
	var took []time.Duration
	for i := range 200 {
		lend(t, p).Release()
		far := <-s.accepted
		if i%2 == 1 {
			_ = far.(*net.TCPConn).SetLinger(0) // RST
		}
		began := time.Now()
		_ = far.Close()
		for p.Stats().Idle != 0 {
			if time.Since(began) > 2*time.Second {
				t.Fatal("a connection that the peer left still counts as idle after 2 s")
			}
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("from the peer's close to out of the pool: p50 %v, p99 %v, worst %v", took[100], took[197], took[199])
	if took[100] > 20*time.Millisecond {
		t.Errorf("half of the dead connections stayed for longer than %v; the watcher does not work", took[100])
	}
	for until := time.Now().Add(2 * time.Second); p.Stats().Open != 0; {
		if time.Now().After(until) {
			t.Fatalf("dead connections are still open: %+v", p.Stats())
		}
	}
	if st := p.Stats(); st.Closed[conn.PeerFIN] != 100 || st.Closed[conn.PeerRST] != 100 {
		t.Errorf("causes of death are %v, want 100 FIN and 100 RST", st.Closed)
	}
}

func TestConnectionThatDiesInUseIsStaleAndNotLentAgain(t *testing.T) {
	s := newPeer(t)
	p := s.pool(t, nil)
	l := lend(t, p)
	first := l.Info().Conn
	_ = (<-s.accepted).Close()
	until := time.Now().Add(2 * time.Second)
	for p.Stats().Stale != 1 {
		if time.Now().After(until) {
			t.Fatalf("a connection that died in use does not count as stale: %+v", p.Stats())
		}
		time.Sleep(time.Millisecond)
	}
	l.Release()
	next := lend(t, p)
	if next.Info().Conn == first {
		t.Error("a dead connection was lent again")
	}
	next.Release()
}

func TestPlannedCloseSendsFINThoughBytesWereLeftUnread(t *testing.T) {
	s := newPeer(t)
	p := s.pool(t, nil)
	lend(t, p).Release()
	far := <-s.accepted
	if _, err := far.Write([]byte("nobody reads this")); err != nil {
		t.Fatal(err)
	}
	p.Invalidate(errors.New("planned"))
	_ = far.SetReadDeadline(time.Now().Add(3 * time.Second))
	_, err := far.Read(make([]byte, 1))
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err, io.EOF) {
		t.Errorf("after a planned close the peer saw %v, want EOF", err)
	}
	_ = far.Close()
}

func BenchmarkFINToOutOfThePool(b *testing.B) {
	s := newPeer(b)
	gone := make(chan time.Time, 1)
	p := s.pool(b, func(c *pool.Config[net.Conn]) {
		c.Observer = observerFunc(func(e pool.Event) {
			if e.Kind == pool.ConnectionClosed {
				gone <- time.Now()
			}
		})
	})
	var took []time.Duration
	for b.Loop() {
		lend(b, p).Release()
		far := <-s.accepted
		began := time.Now()
		_ = far.Close()
		took = append(took, (<-gone).Sub(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
