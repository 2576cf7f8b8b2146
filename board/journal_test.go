package board_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"herz.example/herz/board"
	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

func events(t *testing.T, b *board.Board) []map[string]any {
	t.Helper()
	var list []map[string]any
	for _, e := range snapshot(t, b)["events"].([]any) {
		list = append(list, e.(map[string]any))
	}
	return list
}

func TestBoardThatObservesListsWhatHappenedAndNotWhatWasPlanned(t *testing.T) {
	b := board.New(board.Config{})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, e := range []pool.Event{
		{Kind: pool.CheckedOut},
		{Kind: pool.Heartbeat},
		{Kind: pool.ConnectionReady},
		{Kind: pool.ConnectionClosed, Death: &conn.Death{Cause: conn.MaxLifetime}},
		{Kind: pool.ConnectionClosed, Conn: 7, Death: &conn.Death{ID: 7, Cause: conn.PeerRST, Peer: "db:3306"}},
		{Kind: pool.ConnectionClosed, Cause: conn.Error, Err: errors.New("refused")},
		{Kind: pool.Heartbeat, Err: errors.New("silence")},
		{Kind: pool.Leaked, Stack: "shop.Buy buy.go:7", Held: true},
		{Kind: pool.LimitsChanged, Limits: &pool.LimitsChange{Before: pool.Limits{MaxOpen: 5, MinIdle: 1}, After: pool.Limits{MaxOpen: 9, MinIdle: 1}}},
	} {
		e.At, e.Pool = at, "orders"
		b.Observe(e)
	}
	list := events(t, b)
	var kinds []string
	for _, e := range list {
		kinds = append(kinds, e["kind"].(string))
	}
	if len(list) != 5 || kinds[0] != "limits_changed" || kinds[4] != "connection_closed" {
		t.Fatalf("listed %v", kinds)
	}
	before, after := list[0]["before"].(map[string]any), list[0]["after"].(map[string]any)
	if len(after) != 1 || before["max_open"] != 5.0 || after["max_open"] != 9.0 {
		t.Errorf("the change was listed as %v → %v", before, after)
	}
	if list[1]["stack"] != "shop.Buy buy.go:7" || list[3]["error"] != "refused" || list[4]["death"].(map[string]any)["cause"] != "peer_rst" || list[3]["death"] != nil {
		t.Errorf("%v", list)
	}
}

func TestStormOfEventsLeavesTheNewest(t *testing.T) {
	b := board.New(board.Config{})
	for i := range 2000 {
		b.Observe(pool.Event{Kind: pool.Misused, Conn: uint64(i)})
	}
	list := events(t, b)
	if len(list) != 100 || list[0]["conn"] != 1999.0 || list[99]["conn"] != 1900.0 {
		t.Errorf("%d events, from %v to %v", len(list), list[0]["conn"], list[len(list)-1]["conn"])
	}
}

func TestPoolWithABoardLendsAsFastAsWithout(t *testing.T) {
	p, err := pool.New(pool.Config[int]{
		Observer: board.New(board.Config{}), Dial: func(context.Context) (int, error) { return 1, nil }, Close: func(context.Context, int) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	pair := func() {
		l, err := p.Acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
	}
	pair()
	if n := testing.AllocsPerRun(1000, pair); n > 0 {
		t.Errorf("%v allocations a loan, for a board that wants none of it", n)
	}
}
