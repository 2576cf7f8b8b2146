//go:build linux

package e2e_test

import (
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"herz.example/herz/board"
	"herz.example/herz/ceiling"
	"herz.example/herz/e2e/browser"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// impatient is a server that says nothing, and closes what was idle for so long.
func impatient(t *testing.T, patience time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				for b := make([]byte, 64); ; {
					c.SetReadDeadline(time.Now().Add(patience))
					if _, err := c.Read(b); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// TestBoardShowsWhoClosesIdleConnectionsAndWhatHappened lets a server close what rests, until that is learned, and reads it on the page.
func TestBoardShowsWhoClosesIdleConnectionsAndWhatHappened(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	addr := impatient(t, 700*time.Millisecond)
	learner := ceiling.New(ceiling.Config{Logger: quiet})
	shown := board.New(board.Config{Learner: learner, Every: 200 * time.Millisecond, Logger: quiet})
	d := &guard.Dialer{}
	p, err := pool.New(pool.Config[net.Conn]{
		Name: "orders", Observer: pool.Tee(learner, shown), Limits: pool.Limits{MaxOpen: 6, HeartbeatEvery: -1},
		Dial: func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	shown.Add(p)
	s := httptest.NewServer(shown)
	t.Cleanup(s.Close)
	b := browser.Open(t, s.URL+board.DefaultPrefix)
	shows := func(what string, ok func() bool) {
		t.Helper()
		if !within(2*pageMoves, ok) {
			t.Fatalf("never: %s; the page says:\n%s", what, b.Text("body"))
		}
	}
	shows("that something closes idle connections", func() bool {
		rest(t, p, 5)
		return strings.Contains(b.Text(".pool"), "Something closes connections to "+addr)
	})
	if said := b.Text(".learned"); !strings.Contains(said, "Set MaxIdleTime to") || !strings.Contains(said, " of ") {
		t.Errorf("the lesson lacks its evidence or its cure: %q", said)
	}
	shows("the line at which it closes them, across the tiles that rest", func() bool {
		rest(t, p, 5)
		return b.Count(".tile-idle .tile-ceiling") > 0
	})
	shows("a dead tile with the letter of its killer", func() bool { return strings.Contains(b.Text(".wall"), "F") && b.Count(".tile-closed") > 0 })
	shows("the event", func() bool { return strings.Contains(b.Text(".events .log"), "lost a connection") })
	picture(t, b, "board-learned-light", false)
	picture(t, b, "board-learned-dark", true)
	b.Value(`document.querySelector(".wall .tile-closed").click()`)
	shows("the card says who ended it, and what to change", func() bool {
		card := b.Text("dialog.card")
		return b.Count("dialog.card[open]") == 1 && strings.Contains(card, "the peer closed it") && strings.Contains(card, "idle time-out")
	})
	b.Keys("\x1b")
	shows("the card is closed, and lets go of the keyboard", func() bool { return b.Count("dialog") == 0 })
	b.Focus(".events input")
	b.Keys("nothing has this")
	shows("the filter leaves nothing", func() bool { return strings.Contains(b.Text(".events"), "No event has that in its line") })
	blameless(t, b, s.URL, "board-learned")
}

// rest uses connections and lets them rest, each from a moment of its own on.
func rest(t *testing.T, p *pool.Pool[net.Conn], n int) {
	t.Helper()
	var all []pool.Lease[net.Conn]
	for range n {
		l, err := p.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	for _, l := range all {
		if _, err := l.Value().Write([]byte("x")); err != nil {
			l.Discard(err)
			continue
		}
		time.Sleep(80 * time.Millisecond) // longer than what counts as one moment
		l.Release()
	}
}
