package pool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"herz.example/herz/pool"
)

func TestExhaustedErrorSaysAllThatIsKnownAndNothingElse(t *testing.T) {
	const head = `herz/pool: acquire from "orders": gave up after 2s: 3 of 4 connections in use, 1 idle, 0 being checked, 0 dialling, 5 waiting in front`
	base := pool.ExhaustedError{Pool: "orders", Waited: 2 * time.Second, Ahead: 5, Stats: pool.Stats{InUse: 3, Open: 4, Idle: 1}}
	hold := func(n int) []pool.Holder {
		list := []pool.Holder{
			{Conn: 1, Held: 9 * time.Second, Stack: "main.work\nmain.main"},
			{Conn: 2, Held: 8 * time.Second},
			{Conn: 3, Held: 7 * time.Second},
			{Conn: 4, Held: 6 * time.Second},
			{Conn: 5, Held: time.Second},
		}
		return list[:n]
	}
	for _, c := range []struct {
		name   string
		change func(*pool.ExhaustedError)
		want   string
	}{
		{"nothing more", func(*pool.ExhaustedError) {}, head},
		{"a dial", func(e *pool.ExhaustedError) { e.DialErr = errors.New("refused") }, head + "; the last dial failed: refused"},
		{"one holder", func(e *pool.ExhaustedError) { e.Holders = hold(1) }, head + "; held #1 for 9s by main.work"},
		{"three holders", func(e *pool.ExhaustedError) { e.Holders = hold(3) }, head + "; held #1 for 9s by main.work, #2 for 8s, #3 for 7s"},
		{
			"four holders", func(e *pool.ExhaustedError) { e.Holders = hold(4) },
			head + "; held #1 for 9s by main.work, #2 for 8s, #3 for 7s and 1 more",
		},
		{"advice", func(e *pool.ExhaustedError) { e.Advice = "do this" }, head + "; do this"},
		{"a deadline", func(e *pool.ExhaustedError) { e.CtxErr = context.DeadlineExceeded }, head + ": context deadline exceeded"},
		{
			"a caller who changed his mind", func(e *pool.ExhaustedError) { e.CtxErr, e.Advice = context.Canceled, "do this" },
			`herz/pool: acquire from "orders": the caller gave up after 2s: context canceled`,
		},
	} {
		e := base
		c.change(&e)
		if got := e.Error(); got != c.want {
			t.Errorf("%s: got\n%s, want\n%s", c.name, got, c.want)
		}
	}
}

func TestExhaustedErrorIsWhatEndedTheWaitAndNothingElse(t *testing.T) {
	dial := errors.New("refused")
	e := &pool.ExhaustedError{CtxErr: context.DeadlineExceeded, DialErr: dial}
	if !errors.Is(e, context.DeadlineExceeded) || !errors.Is(e, dial) || !errors.Is(e, pool.ErrExhausted) || errors.Is(e, pool.ErrClosed) || !e.Timeout() {
		t.Errorf("%v is not its reasons", e)
	}
	if none := (&pool.ExhaustedError{}); none.Timeout() || len(none.Unwrap()) != 0 {
		t.Error("a caller who was turned away at once has a reason that did not happen")
	}
}
