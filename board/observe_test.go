package board_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"herz.example/herz/board"
	"herz.example/herz/pool"
)

func TestTimingsAreOfThePoolThatTookThem(t *testing.T) {
	b := board.New(board.Config{Sources: []board.Source{&still{name: "orders"}, &still{name: "users"}}})
	for i := range 300 { // the first 44 are forgotten
		took := time.Duration(i+1) * time.Millisecond
		b.Observe(pool.Event{Kind: pool.ConnectionReady, Pool: "orders", Duration: took})
		b.Observe(pool.Event{Kind: pool.Heartbeat, Pool: "orders", Err: errors.New("silence"), Duration: time.Hour})
	}
	b.Observe(pool.Event{Kind: pool.Heartbeat, Pool: "users", Duration: 3 * time.Millisecond})
	snap := snapshot(t, b)
	orders, users := source(t, snap, "orders")["timings"].([]any), source(t, snap, "users")["timings"].([]any)
	if len(orders) != 1 || len(users) != 1 {
		t.Fatalf("orders %v, users %v", orders, users)
	}
	dial, ping := orders[0].(map[string]any), users[0].(map[string]any)
	if dial["phase"] != "dial" || dial["count"] != 300.0 || dial["max_seconds"] != 0.3 || dial["p50_seconds"] != 0.172 || dial["p99_seconds"] != 0.297 {
		t.Errorf("of 300 dials the newest took 45 to 300 ms: %v", dial)
	}
	if ping["phase"] != "ping" || ping["count"] != 1.0 || ping["p50_seconds"] != 0.003 || ping["max_seconds"] != 0.003 {
		t.Errorf("one ping took 3 ms: %v", ping)
	}
}

func TestPoolsWithoutEndCostNoMemoryWithoutEnd(t *testing.T) {
	b := board.New(board.Config{Sources: []board.Source{&still{name: "pool-0"}, &still{name: "pool-9999"}}})
	for i := range 10_000 {
		b.Observe(pool.Event{Kind: pool.ConnectionReady, Pool: fmt.Sprintf("pool-%d", i)})
		b.Observe(pool.Event{Kind: pool.Leaked, Pool: fmt.Sprintf("pool-%d", i)})
	}
	snap := snapshot(t, b)
	first, last := source(t, snap, "pool-0")["timings"].([]any), source(t, snap, "pool-9999")["timings"].([]any)
	if len(first) != 1 || len(last) != 0 {
		t.Errorf("timings of the first pool %v, of the ten thousandth %v", first, last)
	}
	if n := len(snap["leaks"].([]any)); n != 64 {
		t.Errorf("%d leaks are kept, want 64", n)
	}
}

func TestLeaksAreCountedByWhereTheyWereBorrowed(t *testing.T) {
	b := board.New(board.Config{})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, e := range []pool.Event{
		{Stack: "shop.Buy", Held: true, Duration: time.Second},
		{Stack: "shop.Sell"},
		{Stack: "shop.Buy", Held: true, Duration: time.Minute},
		{Stack: "shop.Buy"},
	} {
		e.Kind, e.Pool, e.Conn, e.At = pool.Leaked, "orders", uint64(i), at.Add(time.Duration(i)*time.Second)
		b.Observe(e)
	}
	list := snapshot(t, b)["leaks"].([]any)
	if len(list) != 3 {
		t.Fatalf("%v", list)
	}
	lost, held, other := list[0].(map[string]any), list[1].(map[string]any), list[2].(map[string]any)
	if lost["held"] != false || lost["count"] != 1.0 || lost["conn"] != 3.0 || other["stack"] != "shop.Sell" {
		t.Errorf("newest first: %v", list)
	}
	if held["count"] != 2.0 || held["seconds"] != 60.0 || held["last"] != "2026-01-02T03:04:07Z" || held["conn"] != 2.0 {
		t.Errorf("held twice: %v", held)
	}
}
