package herzpgx_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"herz.example/herz/herzpgx"
)

func TestServerThatLetsNobodyInIsNotDialledAsOftenAsCallersCome(t *testing.T) {
	s := newServer(t)
	cfg, err := pgxpool.ParseConfig("postgres://user@" + s.listener.Addr().String() + "/shop?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 40
	var dials atomic.Int64
	var full atomic.Bool
	full.Store(true)
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		if full.Load() {
			return nil, errors.New("too many connections")
		}
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
	herzpgx.GuardPool(cfg)
	p, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	const watched = 3 * time.Second
	ctx, cancel := context.WithTimeout(t.Context(), watched)
	defer cancel()
	var callers sync.WaitGroup
	for range 40 {
		callers.Go(func() {
			for ctx.Err() == nil {
				if err := p.Ping(ctx); err == nil {
					t.Error("a call succeeded on a server that lets nobody in")
				}
			}
		})
	}
	callers.Wait()
	if n, most := dials.Load(), int64(20*watched.Seconds()); n > most || n < 4 {
		t.Errorf("%d dials in %v, want at most %d", n, watched, most)
	}
	full.Store(false)
	began := time.Now()
	if err := p.Ping(t.Context()); err != nil || time.Since(began) > 3*time.Second {
		t.Errorf("the server lets in again: %v after %v", err, time.Since(began))
	}
	began = time.Now()
	held := make([]*pgxpool.Conn, 6)
	for i := range held {
		if held[i], err = p.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("six connections took %v: what succeeds must not pause", took)
	}
	for _, c := range held {
		c.Release()
	}
}
