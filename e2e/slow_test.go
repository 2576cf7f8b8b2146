//go:build linux

package e2e_test

import (
	"crypto/sha256"
	"database/sql"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"herz.example/herz/faultlab/server"
	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

func TestLivePeerThatReadsNothingFor30SecondsIsNotCut(t *testing.T) {
	t.Parallel()
	const (
		size   = 32 << 20
		asleep = 30 * time.Second
	)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	type outcome struct {
		sum []byte
		n   int64
		err error
	}
	peer, done := make(chan outcome, 1), make(chan struct{})
	defer close(done)
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			peer <- outcome{err: err}
			return
		}
		defer nc.Close()
		time.Sleep(asleep)
		if err := nc.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			peer <- outcome{err: err}
			return
		}
		h := sha256.New()
		n, err := io.CopyN(h, nc, size)
		if err == nil {
			_, err = nc.Write([]byte("!"))
		}
		peer <- outcome{h.Sum(nil), n, err}
		<-done
	}()

	d := guard.Dialer{Options: guard.SQL}
	nc, err := d.DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	g, ok := guard.From(nc)
	if !ok {
		t.Fatal("the connection is not guarded")
	}
	g.Begin()
	sum, began := sha256.New(), time.Now()
	source := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{}), size), sum)
	if n, err := io.Copy(onlyWriter{nc}, source); err != nil || n != size {
		t.Fatalf("wrote %d of %d bytes in %v: %v", n, size, time.Since(began), err)
	}
	blocked := time.Since(began)
	answer := make([]byte, 1)
	if err := nc.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(nc, answer); err != nil {
		t.Errorf("the answer: %v", err)
	}
	got := <-peer
	t.Logf("figures: %d MiB, the writer stood still for about %v, not cut", got.n>>20, blocked.Round(100*time.Millisecond))
	if got.err != nil || got.n != size || string(got.sum) != string(total(sum)) {
		t.Errorf("the peer got %d of %d bytes (same: %v): %v", got.n, size, string(got.sum) == string(total(sum)), got.err)
	}
	if blocked < asleep-5*time.Second {
		t.Errorf("the write took only %v; the peer's window was never closed and the test shows nothing", blocked)
	}
	if d, dead := g.Death(); dead {
		t.Errorf("the guard recorded a death: %v", d)
	}
}

// onlyWriter hides the ReadFrom of a connection, so that the bytes go through Write.
type onlyWriter struct{ io.Writer }

func total(h hash.Hash) []byte { return h.Sum(nil) }

func TestServerFrozenForASecondCausesNoError(t *testing.T) {
	eachMode(t, func(t *testing.T, k server.Kind, m mode) {
		s := start(t, k, server.Options{})
		const workers = 3
		busy, lazy := m.openDB(t, s, pool.Limits{MaxOpen: workers}), m.openDB(t, s, pool.Limits{})
		stop := make(chan struct{})
		var wg sync.WaitGroup
		var mu sync.Mutex // guards calls; nothing else happens under it
		calls := map[*sql.DB][]call{}
		work := func(db *sql.DB, pause time.Duration) {
			for {
				c := ask(t, db)
				mu.Lock()
				calls[db] = append(calls[db], c)
				mu.Unlock()
				rest := time.NewTimer(pause)
				select {
				case <-stop:
					rest.Stop()
					return
				case <-rest.C:
				}
			}
		}
		for range workers {
			wg.Go(func() { work(busy, 0) })
			wg.Go(func() { work(lazy, idle) }) // is pinged each time
		}
		time.Sleep(idle)
		for range 2 {
			if err := s.Freeze(); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			if err := s.Thaw(); err != nil {
				t.Error(err)
			}
			time.Sleep(500 * time.Millisecond)
		}
		close(stop)
		wg.Wait()
		felt := noErrors(t, calls[busy])
		pinged := noErrors(t, calls[lazy])
		t.Logf("figures: busy %d calls, longest %v; pinged %d calls, longest %v, given up %v",
			len(calls[busy]), felt.Round(time.Millisecond), len(calls[lazy]), pinged.Round(time.Millisecond),
			causes(herzsql.Source(lazy).Deaths()))
		if felt < 800*time.Millisecond {
			t.Errorf("the longest call took only %v: the freeze was not felt and the test shows nothing", felt)
		}
		if deaths := herzsql.Source(busy).Deaths(); len(deaths) > 0 {
			t.Errorf("%d connections in use were taken for dead: %v", len(deaths), deaths[0])
		}
	})
}
