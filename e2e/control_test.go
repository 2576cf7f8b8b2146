//go:build linux

package e2e_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/board"
	"herz.example/herz/conn"
	"herz.example/herz/e2e/browser"
	"herz.example/herz/pool"
)

// forgetful is a pool whose program did not look at the error of results that were cut short.
type forgetful struct{ *pool.Pool[int64] }

func (forgetful) Unasked() []conn.Unasked {
	return []conn.Unasked{
		{Site: "shop/orders.(*Store).List orders/store.go:88", Count: 21, Last: time.Now(), Death: conn.Death{ID: 7, Peer: "192.0.2.1:3306", Cause: conn.PeerRST}},
		{Site: "shop/orders.Export orders/export.go:17", Count: 1, Last: time.Now(), Death: conn.Death{ID: 9, Cause: conn.Unacked}},
	}
}

// TestPoolIsChangedOnThePageWithTheKeyboardAlone walks through the whole of it: the token, a change of limits, a drain that is called off and
// one that is done, and the record of who changed what.
func TestPoolIsChangedOnThePageWithTheKeyboardAlone(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	token, err := board.NewToken(secret)
	if err != nil {
		t.Fatal(err)
	}
	var last atomic.Int64
	p, err := pool.New(pool.Config[int64]{
		Name: "orders", Dial: func(context.Context) (int64, error) { return last.Add(1), nil }, Limits: pool.Limits{KeepWarm: 4},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if err := p.WarmUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(board.New(board.Config{
		Sources: []board.Source{forgetful{p}}, Token: token, Every: 200 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(s.Close)
	address := s.URL + board.DefaultPrefix
	b := browser.Open(t, address)
	shows := func(what string, ok func() bool) {
		t.Helper()
		if !within(pageMoves, ok) {
			t.Fatalf("never: %s; the page says:\n%s", what, b.Text("body"))
		}
	}
	shows("the pool", func() bool { return b.Count(".pool") == 1 })
	if said := b.Text(".pool .trouble"); !strings.Contains(said, "22 results were cut short, and nobody looked") ||
		!strings.Contains(said, "orders/store.go:88 21 times") || !strings.Contains(said, "orders/export.go:17 once") {
		t.Errorf("of cut results the page says %q", said)
	}
	if b.Count(".acts button") != 0 {
		t.Error("there are buttons before there is a token")
	}

	b.Focus("#token")
	b.Keys("a wrong token")
	shows("the buttons", func() bool { return b.Count(".acts button") == 4 })
	b.Focus(".acts button") // evict
	b.Keys("\r")
	shows("the question", func() bool { return b.Text("dialog h2") == "Evict stale connections of orders?" })
	b.Focus("dialog button[type=submit]")
	b.Keys("\r")
	shows("why it was refused", func() bool { return strings.Contains(b.Text("dialog [role=alert]"), "not the board's token") })
	b.Keys("\x1b")
	shows("the dialog is closed by Escape", func() bool { return b.Count("dialog") == 0 })
	shows("the attempt is in the record", func() bool { return strings.Contains(b.Text(".audit .log"), "refused") })
	if n := p.Stats().Generation; n != 1 {
		t.Errorf("the generation is %d", n)
	}

	b.Focus(".token button") // forget
	b.Keys("\r")
	shows("the buttons are gone with the token", func() bool { return b.Count(".acts button") == 0 })
	b.Focus("#token")
	b.Keys(secret)
	shows("the buttons", func() bool { return b.Count(".acts button") == 4 })
	b.Focus(".acts button") // evict, with the token
	b.Keys("\r")
	shows("the question", func() bool { return b.Text("dialog h2") == "Evict stale connections of orders?" })
	b.Focus("dialog button[type=submit]")
	b.Keys("\r")
	shows("that it was done", func() bool { return b.Count("dialog") == 0 && strings.Contains(b.Text(".audit .act-done"), "evict") })
	b.Focus(".acts button:nth-of-type(2)")
	b.Keys("\r")
	shows("the limits", func() bool { return b.Count("dialog .fields input") == 18 })
	b.Focus("dialog input[name=max_open]")
	if got := b.Value(`document.activeElement.labels[0].innerText.trim()`); got != "Open, at most" {
		t.Errorf("the field is called %q", got)
	}
	accessible(t, b, "limits")
	b.Focus("dialog input[name=max_open]")
	b.Value(`document.activeElement.select()`)
	b.Keys("x7")
	picture(t, b, "control-limits", false)
	b.Keys("\r") // sends the form
	shows("what is wrong with the field", func() bool { return strings.Contains(b.Text("dialog [role=alert]"), "must be a number") })
	b.Value(`document.activeElement.select()`)
	b.Keys("7\r")
	shows("the new limit", func() bool {
		return p.Limits().MaxOpen == 7 && strings.Contains(b.Text(".acts-news"), "max_open 10 → 7")
	})
	shows("the change in the record", func() bool { return strings.Contains(b.Text(".audit .log"), "by token from 127.0.0.1") })

	b.Focus(".acts button:nth-of-type(4)") // drain
	b.Keys("\r")
	shows("the question", func() bool { return b.Text("dialog h2") == "Drain orders?" })
	b.Focus("dialog .act-buttons button") // cancel
	b.Keys("\r")
	shows("the dialog is gone", func() bool { return b.Count("dialog") == 0 })
	if lease, err := p.Acquire(t.Context()); err != nil {
		t.Errorf("who called it off has drained all the same: %v", err)
	} else {
		lease.Release()
	}

	b.Focus(".acts button:nth-of-type(3)") // invalidate
	b.Keys("\r")
	shows("the question", func() bool { return strings.HasPrefix(b.Text("dialog h2"), "Invalidate") })
	b.Focus("dialog .field input")
	b.Keys("moved to another host")
	picture(t, b, "control-invalidate", true)
	b.Keys("\r")
	shows("the new generation", func() bool {
		return p.Stats().Generation == 2 && strings.Contains(b.Text(".audit .log"), "moved to another host")
	})

	if kept := b.Value(`JSON.stringify(localStorage)+JSON.stringify(sessionStorage)+document.cookie+location.href`); kept != "{}{}"+address {
		t.Errorf("the page keeps %s", kept)
	}
	accessible(t, b, "control")
	picture(t, b, "control-light", false)
	picture(t, b, "control-dark", true)
	b.Look(false, 390, 844)
	// The graphs take their new width in the frame after the window has its own.
	shows("on a telephone the page is no wider than its window", func() bool { return b.Value(`document.documentElement.scrollWidth <= innerWidth`) == "true" })
	if dir := os.Getenv("HERZ_PICTURES"); dir != "" {
		_ = os.WriteFile(filepath.Join(dir, "control-narrow.png"), b.Screenshot(), 0o644)
	}
	for _, e := range b.Errors() { // the refused attempt is one for the browser
		if !strings.Contains(e, "401") {
			t.Errorf("the page complained: %q", e)
		}
	}
	if s := b.Strangers(address); len(s) > 0 {
		t.Errorf("the page asked other hosts: %q", s)
	}
}

// picture keeps a picture of the page in the folder that HERZ_PICTURES names, if it does.
func picture(t *testing.T, b *browser.Page, name string, dark bool) {
	t.Helper()
	if os.Getenv("HERZ_PICTURES") != "" {
		b.Look(dark, 1280, 900)
		keep(t, b, name)
	}
}

// keep puts a picture of the page as it is into the folder that HERZ_PICTURES names, if it does.
func keep(t *testing.T, b *browser.Page, name string) {
	t.Helper()
	if dir := os.Getenv("HERZ_PICTURES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), b.Screenshot(), 0o644); err != nil {
			t.Error(err)
		}
	}
}
